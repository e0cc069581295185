//! The claim about a kill: whom, by whom, at which limit and size, with which signal or code.

use harness::record::Event;
use harness::record::event::ActorEnd;
use reports::outcome::Verdict::{self, Fail, Inconclusive, Pass};
use rstest::rstest;

use crate::built::{KILLED, MIB, Run, finding};

fn claim(words: &str) -> String {
    format!("\n[[expect]]\nid = \"killed\"\nkill = {{ victim = \"hog\", {words} }}\n")
}

/// Verdict, what was expected and what was observed.
fn judged(run: Run) -> (Verdict, String, String) {
    let judgement = run.judged();
    let found = finding(&judgement, "killed");
    (found.verdict, found.expected.clone(), found.observed.clone())
}

#[rstest]
#[case::done("by = \"exit\"", 0, Pass, "hog exits on its own with 0", "hog ended by exit")]
#[case::an_error("by = \"exit\"", 3, Fail, "hog exits on its own with 0", "hog ended by exit with code 3")]
#[case::the_claimed_error(
    "by = \"exit\", code = 3",
    3,
    Pass,
    "hog exits on its own with 3",
    "hog ended by exit"
)]
#[case::another_error(
    "by = \"exit\", code = 3",
    4,
    Fail,
    "hog exits on its own with 3",
    "hog ended by exit with code 4"
)]
#[case::done_all_the_same(
    "by = \"exit\", code = 3",
    0,
    Fail,
    "hog exits on its own with 3",
    "hog ended by exit with code 0"
)]
#[case::the_code_of_lost_processes_without_any(
    "by = \"exit\", code = 6",
    6,
    Pass,
    "hog exits on its own with 6",
    "hog ended by exit"
)]
#[case::not_killed(
    "by = \"memcg\", limit = \"work\"",
    3,
    Fail,
    "hog killed by memcg limit work",
    "hog ended by exit"
)]
fn an_actor_that_exits_must_exit_with_the_claimed_code(
    #[case] words: &str,
    #[case] code: i32,
    #[case] verdict: Verdict,
    #[case] expected: &str,
    #[case] observed: &str,
) {
    let mut run = Run::claiming(&claim(words));
    run.hog_ends(Some(ActorEnd::Exited(code)), "success");
    assert_eq!(judged(run), (verdict, expected.into(), observed.into()));
}

/// Killed by hand: no limit was hit, and none is claimed.
#[rstest]
#[case::whichever_signal("by = \"signal\"", 15, Pass, "hog ended by signal")]
#[case::the_claimed_signal("by = \"signal\", signal = \"SIGTERM\"", 15, Pass, "hog ended by signal")]
#[case::another_signal("by = \"signal\", signal = \"SIGTERM\"", 2, Fail, "hog ended by signal with signal 2")]
fn an_actor_that_is_signalled_must_get_the_claimed_signal(
    #[case] words: &str,
    #[case] signal: i32,
    #[case] verdict: Verdict,
    #[case] observed: &str,
) {
    let mut run = Run::claiming(&claim(words));
    run.hog_ends(Some(ActorEnd::Signalled(signal)), "signal");
    let (seen, _, said) = judged(run);
    assert_eq!((seen, &*said), (verdict, observed));
}

const AT_WORK: &str = "by = \"memcg\", limit = \"work\"";
const WITH_SIGKILL: &str = "by = \"memcg\", limit = \"work\", signal = \"SIGKILL\"";

/// The kernel's log and the counters tell who killed it; how its parent saw it end is another question.
#[rstest]
#[case::by_sigkill(WITH_SIGKILL, ActorEnd::Signalled(9), Pass, "")]
#[case::nobody_knows_how(
    WITH_SIGKILL,
    ActorEnd::Unknown,
    Inconclusive,
    ": which signal ended it is not known"
)]
#[case::nobody_asks_how(AT_WORK, ActorEnd::Unknown, Pass, "")]
#[case::it_lost_a_process_and_left(
    WITH_SIGKILL,
    ActorEnd::Exited(6),
    Fail,
    " with exit code 6, not by signal 9"
)]
#[case::nobody_asks_how_it_left(AT_WORK, ActorEnd::Exited(6), Pass, "")]
fn a_kill_at_a_limit_may_be_claimed_with_its_signal(
    #[case] words: &str,
    #[case] end: ActorEnd,
    #[case] verdict: Verdict,
    #[case] more: &str,
) {
    let mut run = Run::claiming(&claim(words));
    run.plan_mut().actors[0].processes = 4;
    for stamped in &mut run.record.events {
        if let Event::ActorEnded { end: old, .. } = &mut stamped.event {
            *old = end;
        }
    }
    let (seen, _, said) = judged(run);
    assert_eq!((seen, said), (verdict, format!("hog ended by memcg limit work at 512.0 MiB{more}")));
}

/// A limit that is not claimed may be any.
#[test]
fn a_kill_by_the_kernel_may_be_claimed_of_no_limit_in_particular() {
    let mut run = Run::claiming(KILLED);
    for expectation in &mut run.plan_mut().expectations {
        if let harness::plan::claim::Claim::Kill(claim) = &mut expectation.claim {
            claim.limit = None;
        }
    }
    let (verdict, expected, _) = judged(run);
    assert_eq!((verdict, &*expected), (Pass, "hog killed by memcg at 512.0 MiB ± 2 %"));
}

/// A quarter of 512 MiB is allowed on either side, and the edge is on the allowed side.
#[rstest]
#[case::at_the_lower_edge(Some(384 * MIB), Pass)]
#[case::below_it(Some(384 * MIB - 1), Fail)]
#[case::at_the_upper_edge(Some(640 * MIB), Pass)]
#[case::above_it(Some(640 * MIB + 1), Fail)]
#[case::not_read(None, Inconclusive)]
fn a_size_may_be_as_far_off_as_is_allowed(#[case] peak: Option<u64>, #[case] verdict: Verdict) {
    let mut run = Run::claiming(&KILLED.replace("within-percent = 2 ", "within-percent = 25 "));
    run.column("work:memory.peak", |_| peak);
    let (seen, expected, said) = judged(run);
    assert_eq!(seen, verdict, "{said}");
    assert_eq!(expected, "hog killed by memcg limit work at 512.0 MiB ± 25 %");
}

#[test]
fn a_victim_that_the_kernel_killed_and_nobody_saw_end_leaves_it_open() {
    let mut run = Run::claiming(KILLED);
    run.drop(|event| matches!(event, Event::ActorEnded { .. }));
    let (verdict, _, said) = judged(run);
    assert_eq!(
        (verdict, &*said),
        (Inconclusive, "the kernel killed hog (pid 215), but its end was not seen")
    );
}
