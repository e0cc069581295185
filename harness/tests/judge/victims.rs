//! The claim that nobody else was killed for memory.

use harness::kmsg::oom::Scope;
use harness::plan::Place;
use harness::plan::claim::Claim;
use harness::record::Event;
use harness::record::event::ActorEnd;
use reports::number::{Number, Unit};
use reports::outcome::{Killer, Verdict};
use rstest::rstest;

use crate::built::{HOG, KILLED, Run, finding, verdict_of};

const ONLY: &str = "\n[[expect]]\nid = \"only\"\nonly-victims = [\"hog\"]\n";
const NOBODY: &str = "\n[[expect]]\nid = \"only\"\nonly-victims = []\n";

/// None besides those allowed may be killed; where that was not seen there is no number.
#[rstest]
#[case::the_hog_alone(ONLY, 1, Some(0.0))]
#[case::a_kill_of_nobody_knows_whom(ONLY, 2, None)]
#[case::nobody_may_be_killed(NOBODY, 1, Some(1.0))]
fn the_victims_besides_those_allowed_are_counted(
    #[case] claim: &str,
    #[case] kills: u64,
    #[case] others: Option<f64>,
) {
    let mut run = Run::claiming(claim);
    run.counts("host:oom_kill", kills);
    let judgement = run.judged();
    let number = Number::at_most("processes killed besides those allowed", Unit::Count, others, 0.0);
    assert_eq!(finding(&judgement, "only").numbers, [number]);
}

#[test]
fn the_expected_victim_alone_passes() {
    let judgement = Run::claiming(ONLY).judged();
    assert_eq!(verdict_of(&judgement, "only"), Verdict::Pass);
}

#[test]
fn a_stranger_in_the_kernel_log_fails_by_name() {
    let mut run = Run::claiming(ONLY);
    run.logged_summary(None, "/system.slice/cron.service", 300);
    run.logged_kill(Scope::Global, 300, "cron");
    run.counts("host:oom_kill", 2);
    let judgement = run.judged();
    let found = finding(&judgement, "only");
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.observed.contains("cron (pid 300)"), "{}", found.observed);
}

/// A process may call itself whatever it likes: the pid decides.
#[test]
fn a_stranger_with_the_hogs_name_is_a_stranger() {
    let mut run = Run::claiming(ONLY);
    run.logged_kill(Scope::Global, 300, "x,pid=215,uid=0");
    let judgement = run.judged();
    let found = finding(&judgement, "only");
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.observed.contains("(pid 300)"), "{}", found.observed);
}

#[test]
fn an_actor_that_may_not_die_is_a_stranger_too() {
    let judgement = Run::claiming(NOBODY).judged();
    assert_eq!(verdict_of(&judgement, "only"), Verdict::Fail);
}

#[rstest]
#[case::the_count_matches(1, Verdict::Pass)]
#[case::one_more_than_is_known_of(2, Verdict::Inconclusive)]
fn without_the_log_the_machines_own_count_decides(#[case] count: u64, #[case] verdict: Verdict) {
    let mut run = Run::claiming(ONLY);
    run.no_kernel_oom();
    run.add(5_350_000, Event::KernelLogLost { records: 4 });
    run.counts("host:oom_kill", count);
    assert_eq!(verdict_of(&run.judged(), "only"), verdict);
}

#[test]
fn without_the_machines_count_it_is_inconclusive() {
    let mut run = Run::claiming(ONLY);
    run.column("host:oom_kill", |_| None);
    assert_eq!(verdict_of(&run.judged(), "only"), Verdict::Inconclusive);
}

#[test]
fn the_log_may_print_a_kill_twice() {
    let mut run = Run::claiming(ONLY);
    run.logged_kill(Scope::Memcg, HOG, "balloon");
    assert_eq!(verdict_of(&run.judged(), "only"), Verdict::Pass);
}

#[rstest]
#[case::the_hogs_scope("HOG", true)]
#[case::the_slice_around_it("WORK", true)]
#[case::a_scope_that_begins_like_it("HOG-2", false)]
#[case::everything("/", false)]
#[case::another("/system.slice/cron.service", false)]
fn oomd_may_kill_what_holds_nobody_else(#[case] path: &str, #[case] allowed: bool) {
    let mut run = Run::claiming(ONLY);
    let (hog, work) = (run.cgroup_of("hog"), run.work());
    let path = path.replace("HOG", &hog).replace("WORK", &work);
    // The reason may name an allowed cgroup: what was killed stands in front of it.
    let line = format!("Killed {path} due to memory pressure for {hog} being 97.1% > 10.0% for > 5s");
    run.add(5_350_000, Event::DaemonLine { daemon: "systemd-oomd".into(), unit: None, line });
    let judgement = run.judged();
    let verdict = if allowed { Verdict::Pass } else { Verdict::Fail };
    let observed = &finding(&judgement, "only").observed;
    assert_eq!(verdict_of(&judgement, "only"), verdict, "{observed}");
    // Nobody of the run lives in the others: they are named by their path.
    assert!(allowed || *observed == format!("also killed: {path} by systemd-oomd"), "{observed}");
}

#[test]
fn whom_oomd_killed_is_said_by_name() {
    let mut run = Run::claiming("\n[[expect]]\nid = \"only\"\nonly-victims = []\n");
    run.no_kernel_oom();
    let path = run.cgroup_of("hog");
    let line = format!("Killed {path} due to memory pressure for {path} being 97.1% > 10.0% for > 5s");
    run.add(5_350_000, Event::DaemonLine { daemon: "systemd-oomd".into(), unit: None, line });
    assert_eq!(finding(&run.judged(), "only").observed, "also killed: hog by systemd-oomd");
}

#[rstest]
#[case::the_hog(HOG, false, Verdict::Pass)]
#[case::a_stranger(300, false, Verdict::Fail)]
#[case::a_stranger_in_a_dry_run(300, true, Verdict::Pass)]
fn earlyoom_may_kill_only_the_allowed(#[case] pid: u32, #[case] dry: bool, #[case] verdict: Verdict) {
    let mut run = Run::claiming(ONLY);
    let mut say =
        |line: String| run.add(5_350_000, Event::DaemonLine { daemon: "earlyoom".into(), unit: None, line });
    if dry {
        say("dryrun mode enabled, will not kill anything".into());
    }
    say(format!("sending SIGTERM to process {pid} uid 0 \"x\": badness 883, VmRSS 51 MiB"));
    assert_eq!(verdict_of(&run.judged(), "only"), verdict);
}

#[rstest]
#[case::not_heard(false, Verdict::Inconclusive)]
#[case::heard_out(true, Verdict::Pass)]
fn a_daemon_that_runs_must_be_heard_out(#[case] heard: bool, #[case] verdict: Verdict) {
    let mut run = Run::claiming(ONLY);
    run.follows(Killer::SystemdOomd);
    if heard {
        run.heard("systemd-oomd.service", 0);
    }
    assert_eq!(verdict_of(&run.judged(), "only"), verdict);
}

/// As many kills as the machine counted, in words.
#[rstest]
#[case::none(0, "no OOM kill on the whole machine")]
#[case::one(1, "one OOM kill on the whole machine, and it was expected")]
#[case::two(2, "2 OOM kills on the whole machine, all of them expected")]
fn expected_kills_are_counted(#[case] count: u64, #[case] words: &str) {
    let mut run = Run::claiming(ONLY);
    run.counts("host:oom_kill", count);
    if count == 0 {
        run.hog_ends(None, "success");
    }
    // A group kill counts its first victim twice, and logs it twice.
    if count == 2 {
        run.logged_kill(Scope::Memcg, HOG, "balloon");
    }
    assert_eq!(finding(&run.judged(), "only").observed, words);
}

/// The canary may not die, and no OOM killer says that it killed it.
#[rstest]
#[case::alive(None, true, Killer::Memcg, Verdict::Pass)]
#[case::neither_dead_nor_alive(None, false, Killer::Memcg, Verdict::Inconclusive)]
#[case::by_a_signal(Some(ActorEnd::Signalled(9)), false, Killer::Memcg, Verdict::Inconclusive)]
#[case::by_the_claimed_signal(Some(ActorEnd::Signalled(15)), false, Killer::Signal, Verdict::Pass)]
#[case::by_an_unclaimed_signal(Some(ActorEnd::Signalled(15)), false, Killer::Memcg, Verdict::Inconclusive)]
#[case::nobody_knows_how(Some(ActorEnd::Unknown), false, Killer::Memcg, Verdict::Inconclusive)]
#[case::by_itself(Some(ActorEnd::Exited(0)), false, Killer::Memcg, Verdict::Pass)]
fn the_end_of_everybody_else_is_explained(
    #[case] end: Option<ActorEnd>,
    #[case] alive: bool,
    #[case] claimed: Killer,
    #[case] verdict: Verdict,
) {
    let mut run = Run::claiming(&format!("{ONLY}{KILLED}"));
    for expectation in &mut run.plan_mut().expectations {
        if let Claim::Kill(claim) = &mut expectation.claim {
            (claim.victim, claim.by, claim.limit, claim.at) =
                ("canary".parse().expect("an id"), claimed, None, None);
        }
    }
    if !alive {
        run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    }
    if let Some(end) = end {
        run.add(5_500_000, Event::ActorEnded { actor: "canary".into(), end });
    }
    let judgement = run.judged();
    let found = finding(&judgement, "only");
    assert_eq!(found.verdict, verdict, "{}", found.observed);
}

/// A cgroup stands for a process only where there is nobody else in it: beside an allowed victim, a stranger is one.
#[test]
fn a_process_that_shares_the_cgroup_of_an_allowed_victim_is_a_stranger() {
    let mut run = Run::claiming(ONLY);
    run.plan_mut().actors[0].place = Place::SharedScope;
    let cgroup = run.cgroup_of("hog");
    run.logged_summary(Some(&run.work()), &cgroup, 300);
    run.logged_kill(Scope::Memcg, 300, "sh");
    let judgement = run.judged();
    let found = finding(&judgement, "only");
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.observed.contains("(pid 300)"), "{}", found.observed);
}

/// The kernel's summary names the thread that hit the limit, and the kill the process.
#[test]
fn an_allowed_victim_that_is_logged_under_its_thread_is_no_stranger() {
    let mut run = Run::claiming(ONLY);
    run.plan_mut().actors[0].place = Place::SharedScope;
    run.no_kernel_oom();
    let cgroup = run.cgroup_of("hog");
    run.logged_summary(Some(&run.work()), &cgroup, 4711);
    run.logged_kill(Scope::Memcg, HOG, "balloon");
    let judgement = run.judged();
    let found = finding(&judgement, "only");
    assert_eq!(found.verdict, Verdict::Pass, "{}", found.observed);
}
