//! Records saved from guests, judged again: what is asserted follows from the scenario, what is approved is the wording.

use std::fmt::Write;
use std::path::Path;

use harness::judge::{Judgement, judge};
use harness::record::Record;
use reports::kill::Agreement;
use reports::number::Direction;
use reports::outcome::{Cleanup, Killer, Verdict};

use crate::built::{MIB, finding, hog, verdict_of};

fn saved(name: &str) -> Judgement {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records").join(name);
    judge(&Record::load(&dir).unwrap_or_else(|error| panic!("{error}")))
}

/// Everything said of a run, a line each.
fn words(judgement: &Judgement) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} (the run itself: {})", judgement.verdict, judgement.raw_verdict);
    for found in &judgement.findings {
        let required = if found.required_red { ", must be red" } else { "" };
        let _ = writeln!(
            out,
            "{}{required}: {}\n    wanted {}\n    saw    {}",
            found.id, found.verdict, found.expected, found.observed
        );
    }
    for kill in &judgement.kills {
        let _ = writeln!(out, "{} ended by {}", kill.actor.as_deref().unwrap_or(&kill.comm), kill.killer);
        for witness in &kill.witnesses {
            let _ = writeln!(out, "    {:?}: {}: {}", witness.agrees, witness.name, witness.says);
        }
    }
    out
}

/// What differs from run to run, and what stands for it in an approved text.
const OF_ONE_RUN: [(&str, &str); 3] = [
    (r"\b\d+(\.\d+)? ?(µs|ms|min|s|h)\b", "<time>"),
    (r"\bpid([ =])\d+", "pid${1}<pid>"),
    (r"\bbulkhead-r[0-9a-z]+", "bulkhead-RUN"),
];

/// Whether the words of a judgement are as approved.
macro_rules! assert_approved {
    ($judgement:expr) => {
        insta::with_settings!({ filters => OF_ONE_RUN }, { insta::assert_snapshot!(words($judgement)) })
    };
}

#[test]
fn a_hog_killed_at_its_cap_on_trixie() {
    let judgement = saved("hard-cap-kill.trixie");
    assert_eq!(judgement.verdict, Verdict::Pass);
    let kill = hog(&judgement);
    assert_eq!((kill.killer, kill.limit.as_deref()), (Killer::Memcg, Some("work")));
    // The cap is 512 MiB; a charge never goes beyond it.
    assert_eq!(kill.at_bytes, Some(512 * MIB));
    let agreeing = kill.witnesses.iter().filter(|witness| witness.agrees == Agreement::Agrees).count();
    assert!(agreeing >= 3, "{:?}", kill.witnesses);
    // Exactly at the cap: the whole tolerance is left.
    let number = &finding(&judgement, "killed-by-its-own-cap").numbers[0];
    assert_eq!((number.direction, number.margin), (Direction::Within, number.tolerance));
    assert_eq!((number.value, number.bound), (Some(512.0 * MIB as f64), 512.0 * MIB as f64));
    assert_eq!(judgement.cleanup, Cleanup::Proven);
    assert_approved!(&judgement);
}

#[test]
fn an_unkillable_hog_lives_on_at_its_cap_on_trixie() {
    let judgement = saved("hard-cap-kill.unkillable.trixie");
    assert_eq!((judgement.verdict, judgement.raw_verdict), (Verdict::Pass, Verdict::Fail));
    assert!(judgement.kills.is_empty(), "{:?}", judgement.kills);
    let found = finding(&judgement, "killed-by-its-own-cap");
    assert!(found.required_red && found.observed.contains("oom_kill +0"), "{}", found.observed);
    assert_eq!(verdict_of(&judgement, "no-other-victim"), Verdict::Pass);
    assert_approved!(&judgement);
}

#[test]
fn a_hog_that_may_swap_is_not_killed_on_bookworm() {
    let judgement = saved("hard-cap-kill.swap-allowed.bookworm");
    assert_eq!((judgement.verdict, judgement.raw_verdict), (Verdict::Pass, Verdict::Fail));
    for id in ["swap-flat", "host-swap-flat"] {
        assert_eq!(verdict_of(&judgement, id), Verdict::Fail, "{id}");
        assert!(finding(&judgement, id).required_red);
    }
    assert!(judgement.kills.iter().all(|kill| kill.killer == Killer::Exit), "{:?}", judgement.kills);
    assert_approved!(&judgement);
}
