//! Text from anywhere → text that can do nothing: one line, no control bytes, a known width.
//!
//! Names, kernel lines and console tails are chosen by what ran, or by whoever attacks it. What could move a
//! cursor, end a line or turn the reading direction is shown as an escape (`\x1b`, `\u{202e}`), not dropped: it
//! is evidence. The escaping of single formats (HTML, tables, XML) is theirs.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What [`wrap`] does not tear from its number.
const UNITS: [&str; 13] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "µs", "ms", "s", "min", "h", "%"];

/// `text` as one line that any terminal and any XML parser takes for plain text.
pub fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push(' '),
            c if c.is_control() => clean.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if acts_unseen(c) => clean.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => clean.push(c),
        }
    }
    clean
}

/// The lines of `text`, each as [`line()`] makes it; a carriage return before the line's end is dropped.
pub fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(line)
}

/// Whether a character outside the control ranges turns the reading direction, takes no room, ends a line
/// or is no character at all (XML forbids U+FFFE and U+FFFF).
pub(crate) fn acts_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{fffe}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Columns that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` cut to `columns`, with `…` where something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = head(text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// `text` cut and then filled with spaces to exactly `columns`.
pub fn fit(text: &str, columns: usize) -> String {
    let mut kept = cut(text, columns);
    let missing = columns.saturating_sub(width(&kept));
    kept.extend(std::iter::repeat_n(' ', missing));
    kept
}

/// Breaks `text` into lines of at most `columns` at its spaces; a longer word is broken where it must be.
///
/// A number stays with its unit: `2.41 s` is read as one thing.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2); // room for the widest character
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in words(text) {
        let mut word = word.as_str();
        if !current.is_empty() && width(&current) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut current));
        }
        while width(word) > columns {
            let first = head(word, columns);
            lines.push(first.trim_end_matches(' ').to_owned());
            word = word[first.len()..].trim_start_matches(' ');
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

/// The words of `text`, a number and its unit as one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let unit = UNITS.contains(&word.trim_end_matches([',', ';', ':', '.', ')']));
        match words.last_mut() {
            Some(number) if unit && number.ends_with(|c: char| c.is_ascii_digit()) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// The longest beginning of `text` that takes at most `columns`.
fn head(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::colour("\x1b[31mred", r"\x1b[31mred")]
    #[case::eight_bit_csi("\u{9b}2J", r"\x9b2J")]
    #[case::a_forged_line("hog\npid=1", r"hog\npid=1")]
    #[case::back_to_the_margin("fail\rpass", r"fail\rpass")]
    #[case::nul_bell_and_delete("\0\x07\x7f", r"\x00\x07\x7f")]
    #[case::right_to_left("\u{202e}ssap", r"\u{202e}ssap")]
    #[case::isolate_and_zero_width("\u{2066}a\u{200b}", r"\u{2066}a\u{200b}")]
    #[case::line_separator("a\u{2028}b", r"a\u{2028}b")]
    #[case::no_character("\u{ffff}", r"\u{ffff}")]
    #[case::plain("naïve 日本 ± 2 %", "naïve 日本 ± 2 %")]
    fn what_acts_is_shown_and_what_reads_is_kept(#[case] hostile: &str, #[case] shown: &str) {
        assert_eq!(line(hostile), shown);
    }

    #[test]
    fn a_wide_character_that_fits_no_more_leaves_room_for_the_mark() {
        assert_eq!(cut("日本日本", 6), "日本…");
        assert_eq!(fit("日本日本", 6), "日本… ");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn a_word_longer_than_the_line_is_broken() {
        assert_eq!(wrap("ab abcdefgh i", 4), ["ab", "abcd", "efgh", "i"]);
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        assert_eq!(wrap("died at 512.0 MiB, 2.41 s", 14), ["died at", "512.0 MiB,", "2.41 s"]);
        assert_eq!(wrap("12 s", 3), ["12", "s"]);
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_lose_nothing(text in "\\PC{0,60}", columns in 2_usize..30) {
            let text = line(&text);
            let wrapped = wrap(&text, columns);
            for line in &wrapped {
                prop_assert!(width(line) <= columns, "{line:?}");
            }
            let squeezed = |text: &str| text.replace(' ', "");
            prop_assert_eq!(squeezed(&wrapped.concat()), squeezed(&text));
        }

        #[test]
        fn nothing_that_acts_survives(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(|c| c.is_control() || acts_unseen(c)));
        }
    }
}
