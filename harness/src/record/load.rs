//! A run directory → a record. What is damaged takes nothing else along: each file is read up to its first bad line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use reports::case_id::CaseId;
use serde::de::DeserializeOwned;

use super::store::{EVENTS, HEAD, SAMPLES, StoreError};
use super::{Head, MINOR, Record, SCHEMA, Samples, Stamped, older};

/// What is read of a file at most: a record may come from anywhere, and a damaged or forged one must not cost gigabytes.
pub(crate) struct Bounds {
    pub(crate) line: u64,
    pub(crate) file: u64,
}

/// A head holds the text of its scenario and the plan.
const HEAD_BYTES: u64 = 16 << 20;
/// The longest lines are dumps of `oomctl`.
pub(crate) const EVENT_BOUNDS: Bounds = Bounds { line: 4 << 20, file: 64 << 20 };
/// A row of some hundred columns ten times a second: a run of hours.
pub(crate) const SAMPLE_BOUNDS: Bounds = Bounds { line: 1 << 20, file: 256 << 20 };
/// A value takes sixteen bytes in memory and may take two in the file.
const VALUES: usize = 32 << 20;

/// Reads a run directory.
///
/// # Errors
/// When its head cannot be read: without one nothing is known of what was run.
pub(super) fn load(dir: &Path) -> Result<Record, StoreError> {
    let mut head = load_head(&dir.join(HEAD))?;
    let id = head.id();
    head.case.get_or_insert(CaseId { run: old_run(&id, dir), ..id });
    let mut damage = Vec::new();
    let events = load_events(&dir.join(EVENTS), &mut damage);
    let samples = load_samples(&dir.join(SAMPLES), &mut damage);
    Ok(Record { head, events, samples, damage })
}

/// Records of minor 0 do not say which of several runs they are. Their directories do: `scenario.twin.3`.
fn old_run(id: &CaseId, dir: &Path) -> u32 {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = name.strip_prefix(&id.dir_name()).and_then(|rest| rest.strip_prefix('.'));
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The events of a run directory whose head may be lost; those after the first bad line are left out.
pub(crate) fn load_events(path: &Path, damage: &mut Vec<String>) -> Vec<Stamped> {
    let mut events = Vec::new();
    each_line(path, &EVENT_BOUNDS, damage, |_, line| {
        events.push(parse(line)?);
        Ok(())
    });
    events
}

fn load_samples(path: &Path, damage: &mut Vec<String>) -> Samples {
    let mut samples = Samples::default();
    each_line(path, &SAMPLE_BOUNDS, damage, |number, line| {
        if number == 1 {
            samples.columns = parse(line)?;
            return Ok(());
        }
        let row: Vec<Option<u64>> = parse(line)?;
        let [Some(at), values @ ..] = row.as_slice() else {
            return Err("a row of samples must begin with its time".into());
        };
        let expected = samples.columns.len();
        if values.len() != expected {
            return Err(format!("{} values where the header names {expected} columns", values.len()));
        }
        if samples.values.len() + expected > VALUES {
            return Err(format!("more than {VALUES} values"));
        }
        samples.at_us.push(*at);
        samples.values.extend_from_slice(values);
        Ok(())
    });
    samples
}

fn load_head(path: &Path) -> Result<Head, StoreError> {
    let io = |source| StoreError::Io { action: "read", path: path.to_owned(), source };
    let mut text = Vec::new();
    regular(path).map_err(io)?.take(HEAD_BYTES + 1).read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 > HEAD_BYTES {
        return Err(io(io::Error::other(format!(
            "larger than {} MiB: not the head of a record",
            HEAD_BYTES >> 20
        ))));
    }
    // A value that parses but is no head has no line of its own.
    let json = |source: serde_json::Error| StoreError::Line {
        path: path.to_owned(),
        line: source.line().max(1),
        source,
    };
    let mut value: serde_json::Value = serde_json::from_slice(&text).map_err(json)?;
    let found = value["schema"].as_u64().unwrap_or(0);
    if found != u64::from(SCHEMA) {
        return Err(StoreError::Version { path: path.to_owned(), found });
    }
    older::convert(&mut value);
    let minor = value["minor"].as_u64().unwrap_or(0);
    serde_json::from_value(value).map_err(|source| match minor > u64::from(MINOR) {
        true => StoreError::Newer { path: path.to_owned(), minor, source },
        false => json(source),
    })
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| format!("not a line of a record: {error}"))
}

/// Gives `each` the whole lines of a file with their numbers, up to the first that it refuses, that is cut short, or
/// that is beyond the bounds. What that was is added to `damage`. A missing file has no lines.
fn each_line(
    path: &Path,
    bounds: &Bounds,
    damage: &mut Vec<String>,
    mut each: impl FnMut(usize, &[u8]) -> Result<(), String>,
) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = match regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return damage.push(format!("{name} cannot be read: {error}")),
    };
    let mut reader = BufReader::new(file);
    let (mut line, mut number, mut read) = (Vec::new(), 0, 0);
    let why = loop {
        line.clear();
        number += 1;
        match (&mut reader).take(bounds.line).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(bytes) => read += bytes as u64,
            Err(error) => break error.to_string(),
        }
        if line.last() != Some(&b'\n') {
            let long = line.len() as u64 >= bounds.line;
            break if long { format!("longer than {} MiB", bounds.line >> 20) } else { "cut short".into() };
        }
        if read > bounds.file {
            break format!("the file is longer than {} MiB", bounds.file >> 20);
        }
        if let Err(why) = each(number, &line) {
            break why;
        }
    };
    damage.push(format!("{name}:{number}: {why}; what was recorded from here on is lost"));
}

/// Opens a regular file, and nothing else: a FIFO would be waited for, a device would never end.
pub(crate) fn regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::stat::Mode;
    use rstest::rstest;

    use super::*;
    use crate::error::chain;

    #[test]
    fn a_run_without_samples_has_none_and_is_not_damaged() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut damage = Vec::new();
        assert_eq!(load_samples(&dir.path().join(SAMPLES), &mut damage), Samples::default());
        assert_eq!(damage, [""; 0]);
    }

    #[test]
    fn rows_are_kept_up_to_the_first_that_is_none() {
        for row in ["[null,1]", "[]", "[3]", "[3,4,5]", "[3,4", "{}", "[-1,2]", "[3,1e99]", "\u{0}"] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let path = dir.path().join(SAMPLES);
            fs::write(&path, format!("[\"a\"]\n[1,2]\n{row}\n[5,6]\n")).expect("written");
            let mut damage = Vec::new();
            let samples = load_samples(&path, &mut damage);
            assert_eq!((samples.at_us, samples.values), (vec![1], vec![Some(2)]), "{row}");
            assert_eq!(damage.len(), 1, "{row}");
            assert!(damage[0].starts_with("samples.jsonl:3: "), "{damage:?}");
        }
    }

    /// A metric that the catalogue does not have, in an intact record of this minor or of a newer one.
    #[rstest]
    #[case(MINOR, "not a line of a record")]
    #[case(MINOR + 1, "judge it with the version that wrote it")]
    fn a_head_with_an_unknown_metric_is_refused_in_words(#[case] minor: u32, #[case] words: &str) {
        let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records/hard-cap-kill.trixie");
        let text = fs::read_to_string(saved.join(HEAD)).expect("a record");
        let mut head: serde_json::Value = serde_json::from_str(&text).expect("a head");
        older::convert(&mut head);
        head["minor"] = minor.into();
        head["plan"]["reached"]["metric"] = "work:memory.weight".into();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(HEAD);
        fs::write(&path, head.to_string()).expect("written");
        let why = chain(&load_head(&path).expect_err("an unknown metric"));
        assert!(
            why.contains(words) && why.ends_with("no cgroup and no actor has a metric `memory.weight`"),
            "{why}"
        );
    }

    #[test]
    fn an_endless_line_is_damage_and_not_an_allocation() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("lines");
        fs::write(&path, "one\ntwo and more\n").expect("written");
        let (mut seen, mut damage) = (0, Vec::new());
        let count = |_: usize, _: &[u8]| {
            seen += 1;
            Ok(())
        };
        each_line(&path, &Bounds { line: 8, file: 100 }, &mut damage, count);
        assert_eq!(seen, 1);
        assert!(damage[0].starts_with("lines:2: longer than"), "{damage:?}");
    }

    #[test]
    fn an_endless_file_is_read_up_to_its_bound() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("lines");
        fs::write(&path, "12\n".repeat(10)).expect("written");
        let (mut seen, mut damage) = (0, Vec::new());
        let count = |_: usize, _: &[u8]| {
            seen += 1;
            Ok(())
        };
        each_line(&path, &Bounds { line: 8, file: 15 }, &mut damage, count);
        assert_eq!(seen, 5);
        assert!(damage[0].starts_with("lines:6: the file is longer than"), "{damage:?}");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let fifo = dir.path().join(EVENTS);
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a fifo");
        let mut damage = Vec::new();
        assert_eq!(load_events(&fifo, &mut damage), []);
        assert_eq!(damage, ["events.jsonl cannot be read: not a regular file"]);
        assert!(load_head(&fifo).is_err());
    }
}
