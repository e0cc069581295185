//! The absolute sizes of memory in a policy's files: how much, of what, on which line and in which bytes.
//!
//! Unit files, quadlets, earlyoom's KiB options and docker's `daemon.json`. Shares, weights, zero, `infinity` and what systemd
//! refuses are none. Compose files and set-up scripts are not looked into.

use std::ops::Range;

use super::Root;
use crate::notation::Bytes;
use crate::unit_file::value::{self, Value};
use crate::unit_file::{Directive, Place, UnitFile, directive, syntax, unit_file};

/// An absolute size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// The line.
    pub place: Place,
    /// What it is of: a directive, or an option.
    pub of: String,
    /// As written.
    pub text: String,
    /// The bytes of the file that say it.
    pub span: Range<usize>,
    /// How much it is; never 0.
    pub bytes: Bytes,
    /// How it is written.
    pub notation: Notation,
}

/// How a size is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// As systemd does.
    Systemd,
    /// A number of KiB.
    Kib,
    /// A text of JSON, with its quotes, or a number.
    Json,
}

impl Notation {
    /// The text for a size.
    #[must_use]
    pub fn text(self, bytes: Bytes) -> String {
        match self {
            Self::Systemd => bytes.to_string(),
            Self::Kib => (bytes.0 >> 10).to_string(),
            Self::Json => bytes.0.to_string(),
        }
    }
}

/// Every absolute size in the files, in the order of their paths and lines.
#[must_use]
pub fn sizes(root: &Root) -> Vec<Size> {
    let texts = root.files().filter_map(|path| Some((path, std::str::from_utf8(root.file(path)?).ok()?)));
    texts.flat_map(|(path, text)| in_file(path, text)).collect()
}

fn in_file(path: &str, text: &str) -> Vec<Size> {
    let earlyoom = ["/etc/default/earlyoom", "/etc/sysconfig/earlyoom"].contains(&path);
    if earlyoom {
        return in_environment(path, text);
    }
    if path.ends_with("/docker/daemon.json") {
        return in_daemon_json(path, text).into_iter().collect();
    }
    let unit = matches!(unit_file(path), Some((_, UnitFile::Fragment(_) | UnitFile::DropIn(_))));
    if unit || path.contains("/containers/systemd/") { in_unit(path, text) } else { Vec::new() }
}

fn in_unit(path: &str, text: &str) -> Vec<Size> {
    let mut found = Vec::new();
    for one in syntax::parse(text.as_bytes()).assignments {
        let place = Place { path: path.to_owned(), line: one.line };
        if one.key.starts_with("Exec") && path.contains("/earlyoom.service") {
            found.extend(options(&place, text, one.span));
            continue;
        }
        let memory = Directive::named(&one.key).filter(|known| known.is_memory());
        let (Some(known), true) = (memory, directive::is_section(&one.section)) else { continue };
        if let Ok(Value::Bytes(bytes)) = value::parse(known.kind, &one.value)
            && bytes.0 > 0
        {
            let notation = Notation::Systemd;
            found.push(Size { place, of: one.key, text: one.value, span: one.span, bytes, notation });
        }
    }
    found
}

/// `EARLYOOM_ARGS=` of an environment file; a backslash at the end of a line continues it.
fn in_environment(path: &str, text: &str) -> Vec<Size> {
    let mut found = Vec::new();
    let (mut at, mut inside) = (0, false);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let place = Place { path: path.to_owned(), line: index + 1 };
        let start = line.find("EARLYOOM_ARGS=").filter(|start| line[..*start].trim().is_empty());
        let begins = start.map(|start| start + "EARLYOOM_ARGS=".len());
        if let Some(from) = begins.or((inside && start.is_none()).then_some(0)) {
            found.extend(options(&place, text, at + from..at + line.len()));
            inside = line.trim_end().ends_with('\\');
        }
        at += line.len();
    }
    found
}

/// earlyoom's `-M` and `-S`, whose sizes are KiB: `-M 409600`, `-M 409600,204800`, `-M409600`.
fn options(place: &Place, text: &str, span: Range<usize>) -> Vec<Size> {
    let mut found = Vec::new();
    let mut option = None;
    for word in words(text, span) {
        let written = &text[word.clone()];
        let (of, numbers) = match (option.take(), written.get(..2)) {
            (Some(of), _) => (of, word),
            (None, Some(of @ ("-M" | "-S"))) if written.len() > 2 => (of, word.start + 2..word.end),
            (None, Some(of @ ("-M" | "-S"))) => {
                option = Some(of);
                continue;
            }
            _ => continue,
        };
        let mut at = numbers.start;
        for number in text[numbers].split(',') {
            let span = at..at + number.len();
            at = span.end + 1;
            let kib =
                number.parse::<u64>().ok().and_then(|kib| kib.checked_mul(1024)).filter(|bytes| *bytes > 0);
            let Some(bytes) = kib.map(Bytes) else { continue };
            let (place, text) = (place.clone(), format!("{number} KiB"));
            found.push(Size { place, of: of.to_owned(), text, span, bytes, notation: Notation::Kib });
        }
    }
    found
}

/// The words of a command line, without the quotes around them. What single quotes hold is a word of its own: a regular
/// expression with a blank in it is no option.
fn words(text: &str, span: Range<usize>) -> Vec<Range<usize>> {
    let base = span.start;
    let line = &text[span];
    let mut found = Vec::new();
    let (mut start, mut quoted) = (None, false);
    for (at, c) in line.char_indices() {
        // The double quotes of an environment file are around all of the words.
        let ends = match c {
            '\'' => {
                quoted = !quoted;
                true
            }
            '"' => !quoted,
            c => c.is_whitespace() && !quoted,
        };
        match (ends, start) {
            (true, Some(from)) => {
                found.push(base + from..base + at);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    found.extend(start.map(|from| base + from..base + line.len()));
    found
}

/// `default-shm-size`, the only size of memory that dockerd's own file has.
fn in_daemon_json(path: &str, text: &str) -> Option<Size> {
    const KEY: &str = "\"default-shm-size\"";
    serde_json::from_str::<serde_json::Value>(text).ok()?.get(KEY.trim_matches('"'))?;
    let key = text.find(KEY)? + KEY.len();
    let value = key + text[key..].find(|c: char| c != ':' && !c.is_whitespace())?;
    let length = match text[value..].strip_prefix('"') {
        Some(rest) => rest.find('"')? + 2,
        None => text[value..].find(|c: char| !c.is_ascii_digit())?,
    };
    let span = value..value + length;
    let written = text[span.clone()].trim_matches('"');
    let line = text[..value].matches('\n').count() + 1;
    let place = Place { path: path.to_owned(), line };
    let bytes = docker_size(written).filter(|bytes| bytes.0 > 0)?;
    let of = KEY.trim_matches('"').to_owned();
    Some(Size { place, of, text: written.to_owned(), span, bytes, notation: Notation::Json })
}

/// docker's notation: `64M`, `64mb`, `1g` and `67108864` to the base 1024.
fn docker_size(text: &str) -> Option<Bytes> {
    let upper = text.trim().to_ascii_uppercase();
    let stem = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
    stem.parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_cap("/etc/systemd/system/x.slice", "[Slice]\nMemoryMax=16G\nMemoryHigh=50%\nMemorySwapMax=0\nMemoryMin=infinity\n", &["MemoryMax 16G 2 17179869184"])]
    #[case::refused("/etc/systemd/system/x.slice", "[Slice]\nMemoryMax=16GB\n", &[])]
    #[case::weights("/etc/systemd/system/x.slice", "[Slice]\nCPUWeight=200\nTasksMax=4096\n", &[])]
    #[case::another_section("/etc/systemd/system/x.slice", "[Unit]\nMemoryMax=16G\n", &[])]
    #[case::a_drop_in("/etc/systemd/user/x.service.d/a.conf", "[Service]\nMemoryLimit = 1G500M\n", &["MemoryLimit 1G500M 2 1598029824"])]
    #[case::not_a_drop_in("/etc/systemd/user/x.service.d/a.txt", "[Service]\nMemoryMax=1G\n", &[])]
    #[case::a_quadlet("/etc/containers/systemd/x.container", "[Container]\nImage=x\n[Service]\nMemoryMax=1G\n", &["MemoryMax 1G 4 1073741824"])]
    #[case::earlyoom(
        "/etc/default/earlyoom",
        "# -M 5\nEARLYOOM_ARGS=\"-m 5 -M 409600,204800 -S4096 -r 3600 --avoid '^(a -M 7|b)$'\"\n",
        &["-M 409600 KiB 2 419430400", "-M 204800 KiB 2 209715200", "-S 4096 KiB 2 4194304"]
    )]
    #[case::earlyoom_on_two_lines("/etc/default/earlyoom", "EARLYOOM_ARGS=\"-m 5 \\\n-M 4096\"\nX=\"-M 8\"\n", &["-M 4096 KiB 2 4194304"])]
    #[case::earlyoom_by_its_unit(
        "/etc/systemd/system/earlyoom.service.d/a.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/earlyoom -M 4096\nMemoryMax=50M\n",
        &["-M 4096 KiB 3 4194304", "MemoryMax 50M 4 52428800"]
    )]
    #[case::docker("/etc/docker/daemon.json", "{\n \"default-shm-size\": \"64mb\"\n}", &["default-shm-size 64mb 2 67108864"])]
    #[case::docker_in_bytes("/etc/docker/daemon.json", "{\"default-shm-size\":67108864}", &["default-shm-size 67108864 1 67108864"])]
    #[case::docker_without("/etc/docker/daemon.json", "{\"cgroup-parent\": \"a.slice\"}", &[])]
    fn each_absolute_size_is_found(#[case] path: &str, #[case] text: &str, #[case] expected: &[&str]) {
        let found = in_file(path, text);
        let shown = |size: &Size| format!("{} {} {} {}", size.of, size.text, size.place.line, size.bytes.0);
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected);
        for size in &found {
            assert!(size.text.starts_with(text[size.span.clone()].trim_matches('"')), "{size:?}");
        }
    }
}
