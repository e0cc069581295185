//! The text of a resource control → its value, as systemd's parsers take and refuse it.
//!
//! Unlike a scenario's notations these are loose: `10 G`, `1G500M` and `+4G` are sizes to systemd, `4GB` and `512m` are not.

use std::fmt;

use crate::notation::{Bytes, Percent};

/// What a directive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A memory limit above 0, a share of the machine's memory, or `infinity`.
    Limit,
    /// A limit that may be 0, as for swap.
    LimitOrZero,
    /// Protected memory: like a limit that may be 0, and an empty value means 0.
    Protection,
    /// A number of tasks, a share of the system's, or `infinity`.
    Tasks,
    /// A number from 1 to 10000; for the CPU also `idle`.
    Weight,
    /// A number in a range: the weights of cgroup v1.
    Number(u64, u64),
    /// A share of one CPU's time above 0, with at most two decimals; may exceed 100 %.
    Quota,
    /// A share of at most 100 %.
    Share,
    /// `yes` or `no`, in any of systemd's spellings.
    Flag,
    /// One of these words; with `true`, an empty value sets the default.
    Words(&'static [&'static str], bool),
    /// From -1000 to 1000.
    Score,
    /// Not looked into: lists, devices, times.
    Text,
}

/// A value as systemd understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The empty text: what was said before is forgotten, and the default holds.
    Default,
    /// So many bytes.
    Bytes(Bytes),
    /// A share of the machine's memory, of its tasks, of a CPU or of time.
    Share(Percent),
    /// No limit.
    Infinity,
    /// A number: tasks, a weight, a score.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A word, or a text that is not looked into.
    Text(String),
}

impl Value {
    /// The bytes of a memory limit on a machine with `memory`; none for no limit and for what is no size. Shares are rounded
    /// down to a page of 4096 bytes, as systemd does.
    #[must_use]
    pub fn bytes(&self, memory: Bytes) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(*bytes),
            Self::Share(share) => Some(Bytes(share.of(memory.0) & !0xfff)),
            Self::Default | Self::Infinity | Self::Number(_) | Self::Flag(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Share(share) => share.fmt(f),
            Self::Infinity => f.write_str("infinity"),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Reads the text of a value.
///
/// # Errors
/// Why systemd refuses it, as a lower-case sentence: the assignment is then ignored, and what was said before stays.
pub fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return match kind {
            Kind::Flag | Kind::Words(_, false) => Err("systemd takes no empty value here".to_owned()),
            _ => Ok(Value::Default),
        };
    }
    match kind {
        Kind::Limit => match limit(text)? {
            Value::Bytes(Bytes(0)) | Value::Share(Percent(0)) => {
                Err(format!("`{text}` is out of range: it must be above 0"))
            }
            value => Ok(value),
        },
        Kind::LimitOrZero | Kind::Protection => limit(text),
        Kind::Tasks => tasks(text),
        Kind::Weight => number(text, 1, 10_000),
        Kind::Number(least, most) => number(text, least, most),
        Kind::Quota => quota(text),
        Kind::Share => {
            share(text).map(Value::Share).ok_or_else(|| format!("`{text}` is not a share of at most 100%"))
        }
        Kind::Flag => flag(text),
        Kind::Words(words, _) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
        Kind::Words(words, _) => Err(format!("`{text}` is none of {}", words.join(", "))),
        Kind::Score => match text.parse() {
            Ok(score @ -1000..=1000) => Ok(Value::Number(score)),
            _ => Err(format!("`{text}` is not a number from -1000 to 1000")),
        },
        Kind::Text => Ok(Value::Text(text.to_owned())),
    }
}

/// `config_parse_memory_limit()`: `infinity`, a share, or a size.
fn limit(text: &str) -> Result<Value, String> {
    if text == "infinity" {
        return Ok(Value::Infinity);
    }
    if let Some(share) = share(text) {
        return Ok(Value::Share(share));
    }
    size(text).filter(|bytes| bytes.0 < u64::MAX).map(Value::Bytes).ok_or_else(|| match nearest_size(text) {
        Some(near) => format!("`{text}` is not a size: systemd writes it {near}"),
        None => format!("`{text}` is not a size such as 512M or 1.5G, nor a share of at most 100%"),
    })
}

/// What people write by habit, as systemd takes it: `4GB` and `4GiB` are 4G, `512m` is 512M.
fn nearest_size(text: &str) -> Option<String> {
    text.parse::<Bytes>().err()?.suggestion.filter(|near| size(near).is_some())
}

fn tasks(text: &str) -> Result<Value, String> {
    if text == "infinity" {
        return Ok(Value::Infinity);
    }
    if let Some(share) = share(text) {
        return Ok(Value::Share(share));
    }
    let count = text.parse().ok().filter(|count| *count > 0);
    count
        .map(Value::Number)
        .ok_or_else(|| format!("`{text}` is not a number of tasks above 0, a share or `infinity`"))
}

fn number(text: &str, least: u64, most: u64) -> Result<Value, String> {
    let number = text.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
    let number = number.and_then(|number| i64::try_from(number).ok());
    number.map(Value::Number).ok_or_else(|| format!("`{text}` is not a number from {least} to {most}"))
}

fn quota(text: &str) -> Result<Value, String> {
    let share = permyriad(text).filter(|share| share.0 > 0);
    share
        .map(Value::Share)
        .ok_or_else(|| format!("`{text}` is not a share of a CPU above 0, such as 50% or 200%"))
}

fn flag(text: &str) -> Result<Value, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(Value::Flag(true)),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(Value::Flag(false)),
        _ => Err(format!("`{text}` is neither yes nor no")),
    }
}

fn share(text: &str) -> Option<Percent> {
    permyriad(text).filter(|share| *share <= Percent::HUNDRED)
}

/// `parse_permyriad_unbounded()`: `%` with up to two decimals, `‰` with one, `‱` with none; no blank before the sign.
fn permyriad(text: &str) -> Option<Percent> {
    let (number, decimals) = [('%', 2), ('‰', 1), ('‱', 0)]
        .into_iter()
        .find_map(|(sign, decimals)| text.strip_suffix(sign).map(|number| (number, decimals)))?;
    let (whole, fraction) =
        number.split_once('.').map_or((number, ""), |(whole, fraction)| (whole, fraction));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let point = number.contains('.');
    if whole.is_empty()
        || !digits(whole)
        || !digits(fraction)
        || fraction.len() > decimals
        || (point && fraction.is_empty())
    {
        return None;
    }
    let parts = format!("{whole}{fraction:0<decimals$}").parse().ok()?;
    Some(Percent(parts))
}

/// The units of a size, from the largest: within one text each comes after a larger one.
const UNITS: [(&str, u32); 8] =
    [("E", 60), ("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10), ("B", 0), ("", 0)];

/// `parse_size()` with the base 1024: numbers with units from large to small, each with blanks around it.
fn size(text: &str) -> Option<Bytes> {
    let blanks = [' ', '\t', '\n', '\r'];
    let (mut rest, mut total, mut first) = (text, 0_u64, 0);
    loop {
        rest = rest.trim_start_matches(blanks);
        rest = rest.strip_prefix('+').unwrap_or(rest);
        let (whole, behind) = digits(rest);
        let whole: u64 = whole.parse().ok()?;
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        let behind = behind.trim_start_matches(blanks);
        let found = UNITS[first..].iter().position(|(unit, _)| behind.starts_with(unit))?;
        let (unit, shift) = UNITS[first + found];
        let part = (fraction_of(fraction) * f64::from(2_u32).powi(i32::try_from(shift).ok()?)) as u64;
        let whole = whole.checked_mul(1_u64 << shift)?;
        total = total.checked_add(whole.checked_add(part)?)?;
        first += found + 1;
        rest = &behind[unit.len()..];
        if rest.is_empty() {
            return Some(Bytes(total));
        }
        if first >= UNITS.len() {
            return None;
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// As systemd computes it, in floating point.
fn fraction_of(digits: &str) -> f64 {
    digits.parse::<f64>().map_or(0.0, |number| digits.bytes().fold(number, |number, _| number / 10.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const G: u64 = 1 << 30;
    const M: u64 = 1 << 20;

    /// What `systemd-analyze verify` of systemd 252 takes without a word.
    #[rstest]
    #[case("4G", 4 * G)]
    #[case("1.5G", 3 * G / 2)]
    #[case("5.5G", 11 * G / 2)]
    #[case("1G500M", G + 500 * M)]
    #[case("4 G 5M", 4 * G + 5 * M)]
    #[case("10 G", 10 * G)]
    #[case("+4G", 4 * G)]
    #[case("10.M", 10 * M)]
    #[case("4096", 4096)]
    #[case("4096B", 4096)]
    fn a_size_is_one_to_systemd(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(parse(Kind::Limit, text), Ok(Value::Bytes(Bytes(bytes))));
    }

    #[rstest]
    #[case("10%", 1000)]
    #[case("95.5%", 9550)]
    #[case("12.34%", 1234)]
    #[case("5‰", 50)]
    #[case("100%", 10_000)]
    fn a_share_is_one_to_systemd(#[case] text: &str, #[case] parts: u32) {
        assert_eq!(parse(Kind::Limit, text), Ok(Value::Share(Percent(parts))));
    }

    /// What it says "ignoring" of.
    #[rstest]
    #[case::habit(Kind::Limit, "4GB", "systemd writes it 4G")]
    #[case::habit_of_kubernetes(Kind::Limit, "2Gi", "is not a size")]
    #[case::lower_case(Kind::Limit, "512m", "systemd writes it 512M")]
    #[case::a_comment(Kind::Limit, "17G #x", "is not a size")]
    #[case::below_zero(Kind::Limit, "-1", "is not a size")]
    #[case::hexadecimal(Kind::Protection, "0x10", "is not a size")]
    #[case::small_before_large(Kind::LimitOrZero, "5M4G", "is not a size")]
    #[case::nothing(Kind::Limit, "0", "out of range")]
    #[case::nothing_of_a_unit(Kind::Limit, "0M", "out of range")]
    #[case::no_share(Kind::Limit, "0%", "out of range")]
    #[case::more_than_all(Kind::Limit, "120%", "is not a size")]
    #[case::a_little_more_than_all(Kind::Limit, "100.5%", "is not a size")]
    #[case::a_blank_before_the_sign(Kind::Limit, "80 %", "is not a size")]
    #[case::three_decimals(Kind::Limit, "0.001%", "is not a size")]
    #[case::another_spelling(Kind::Limit, "Infinity", "is not a size")]
    #[case::no_tasks(Kind::Tasks, "0", "is not a number of tasks")]
    #[case::no_weight(Kind::Weight, "0", "from 1 to 10000")]
    #[case::too_much_weight(Kind::Weight, "10001", "from 1 to 10000")]
    #[case::few_shares(Kind::Number(2, 262_144), "1", "from 2 to 262144")]
    #[case::no_quota(Kind::Quota, "0%", "above 0")]
    #[case::three_decimals_of_a_cpu(Kind::Quota, "12.345%", "is not a share of a CPU")]
    #[case::no_sign(Kind::Share, "60", "is not a share")]
    #[case::neither(Kind::Flag, "maybe", "neither yes nor no")]
    #[case::an_empty_flag(Kind::Flag, "", "no empty value")]
    #[case::a_word(Kind::Words(&["auto", "kill"], true), "Kill", "none of auto, kill")]
    #[case::a_score(Kind::Score, "-1001", "from -1000 to 1000")]
    fn what_systemd_ignores_is_refused(#[case] kind: Kind, #[case] text: &str, #[case] why: &str) {
        let refused = parse(kind, text).expect_err("refused");
        assert!(refused.contains(why), "{refused}");
    }

    #[rstest]
    #[case(Kind::LimitOrZero, "0", Value::Bytes(Bytes(0)))]
    #[case(Kind::Protection, "0M", Value::Bytes(Bytes(0)))]
    #[case(Kind::Limit, "infinity", Value::Infinity)]
    #[case(Kind::Limit, "", Value::Default)]
    #[case(Kind::Tasks, "0%", Value::Share(Percent(0)))]
    #[case(Kind::Quota, "2560%", Value::Share(Percent(256_000)))]
    #[case(Kind::Flag, "ON", Value::Flag(true))]
    #[case(Kind::Words(&["auto", "kill"], true), "", Value::Default)]
    #[case(Kind::Score, "-900", Value::Number(-900))]
    fn what_systemd_takes_is_taken(#[case] kind: Kind, #[case] text: &str, #[case] value: Value) {
        assert_eq!(parse(kind, text), Ok(value));
    }

    #[test]
    fn a_share_of_memory_is_whole_pages() {
        // 50 % of 2069016576 bytes is 1034508288; systemd 257 has 1034506240 of 2069016577, read back from the kernel.
        let half = Value::Share(Percent(5000));
        assert_eq!(half.bytes(Bytes(2_069_016_577)), Some(Bytes(1_034_506_240)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9.]{0,22}[ KMGTPEB%‰.+-]{0,4}[0-9]{0,3}[KMG]?") {
            for kind in [Kind::Limit, Kind::Tasks, Kind::Quota, Kind::Share, Kind::Weight] {
                let _ = parse(kind, &text);
            }
        }
    }
}
