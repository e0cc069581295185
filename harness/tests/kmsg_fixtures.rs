//! Every kernel log in `fixtures/kmsg` gives the events kept beside it.

use std::fs;
use std::path::{Path, PathBuf};

use harness::kmsg::oom::{OomEvent, OomRecord, events};
use harness::kmsg::{Record, records};

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kmsg");
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "kmsg"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_kernel_log_gives_the_events_kept_beside_it() {
    let files = fixtures();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let text = fs::read(&file).expect("a fixture");
        assert!(text.starts_with(b"# "), "{} does not say where it comes from", file.display());
        let records: Vec<Record> = records(&text).collect();
        let found = events(&records);
        let kept = file.with_extension("events.json");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            let text = serde_json::to_string_pretty(&found).expect("json") + "\n";
            fs::write(&kept, text).expect("write");
        }
        let expected = fs::read(&kept).unwrap_or_else(|error| {
            panic!("{}: {error}; run with UPDATE_FIXTURES=1 and read what it writes", kept.display())
        });
        let expected: Vec<OomRecord> = serde_json::from_slice(&expected).expect("events");
        assert_eq!(found, expected, "{}", file.display());
        assert!(!found.is_empty(), "{} holds no event", file.display());
        let unreadable = found.iter().find(|event| matches!(event.event, OomEvent::Unreadable { .. }));
        assert_eq!(unreadable, None, "{}", file.display());
    }
}

#[test]
fn every_kill_in_the_kernel_logs_is_an_event() {
    for file in fixtures() {
        let text = fs::read_to_string(&file).expect("a fixture");
        // Facility 0: a priority below 8.
        let from_kernel = |line: &&str| line.as_bytes().get(1) == Some(&b',');
        let printed =
            text.lines().filter(from_kernel).filter(|line| line.contains(": Killed process ")).count();
        let records: Vec<Record> = records(text.as_bytes()).collect();
        let read = events(&records)
            .into_iter()
            .filter(|event| matches!(event.event, OomEvent::Killed { .. }))
            .count();
        assert_eq!(read, printed, "{}", file.display());
    }
}
