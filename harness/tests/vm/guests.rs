//! The first scenario and its twins, as a user runs them, on every guest.

use std::path::Path;
use std::process::Command;

use harness::record::{Event, Record};
use reports::outcome::Verdict;
use reports::report::{Report, Role};
use rstest::rstest;

use crate::machine::{alone, programs};

#[rstest]
fn a_runaway_dies_at_its_cap_and_every_twin_turns_red(#[values("bookworm", "trixie")] guest: &str) {
    // It has machines of its own, two at a time.
    let _turn = alone();
    let into = tempfile::tempdir().expect("a temporary directory");
    let report = into.path().join("report.json");
    let run = Command::new(programs().join("bulkhead"))
        .args(["run", "hard-cap-kill", "--guest", guest, "--scenarios"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios"))
        .arg("--store")
        .arg(into.path().join("runs"))
        .arg(format!("--report=json:{}", report.display()))
        .output()
        .expect("bulkhead run");
    let words = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{words}");
    let report: Report = serde_json::from_slice(&std::fs::read(report).expect("a report")).expect("a report");
    let mut cases: Vec<(String, Verdict, Verdict)> = report
        .cases
        .iter()
        .map(|case| {
            let name = match &case.role {
                Role::Base => "base".to_owned(),
                Role::Twin { id, .. } => id.clone(),
            };
            assert_eq!(case.guest.as_deref(), Some(guest));
            (name, case.verdict, case.raw_verdict)
        })
        .collect();
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    let twin = |id: &str| (id.to_owned(), Verdict::Pass, Verdict::Fail);
    let base = ("base".to_owned(), Verdict::Pass, Verdict::Pass);
    assert_eq!(cases, [base, twin("cap-removed"), twin("swap-allowed"), twin("unkillable")], "{words}");
    // A hog that spins at its cap fills the logs until it is ended: the daemons are asked after that.
    let invocation =
        std::fs::read_dir(into.path().join("runs")).expect("runs").next().expect("one").expect("one");
    for twin in ["", ".cap-removed", ".swap-allowed", ".unkillable"] {
        let dir = invocation.path().join(guest).join(format!("hard-cap-kill{twin}"));
        let record = Record::load(&dir).expect("a record");
        let trouble: Vec<_> =
            record.events.iter().filter(|stamped| matches!(stamped.event, Event::Trouble { .. })).collect();
        assert!(trouble.is_empty(), "{trouble:?}");
    }
}
