//! Who killed the hog: one witness at a time is silenced, or lies.

use harness::kmsg::oom::{OomEvent, Scope};
use harness::record::Event;
use harness::record::event::{ActorEnd, When};
use reports::kill::Agreement::{Agrees, Contradicts, Missing};
use reports::outcome::{Killer, Verdict};
use rstest::rstest;

use crate::built::{CANARY, HOG, KILLED, MIB, RUN_SLICE, Run, agreement, finding, hog, running, verdict_of};

#[test]
fn a_kill_at_the_own_limit_with_every_witness_passes() {
    let judgement = Run::claiming(KILLED).judged();
    let kill = hog(&judgement);
    assert_eq!((kill.killer, kill.limit.as_deref()), (Killer::Memcg, Some("work")));
    assert_eq!(kill.at_bytes, Some(512 * MIB));
    // Released at 3 s, seen dead at 5.4 s; logged at 5.300 s, recorded at 5.303 s.
    assert_eq!((kill.after_ms, kill.latency_us), (Some(2400), Some(3000)));
    for witness in ["kernel log", "memory.events", "wait status", "systemd"] {
        assert_eq!(agreement(kill, witness), Some(Agrees), "{witness}");
    }
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Pass);
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Pass, None));
}

#[rstest]
#[case::records_lost(Some(Event::KernelLogLost { records: 40 }), true, "40 records were lost")]
#[case::not_readable(Some(Event::KernelLogUnavailable { reason: "EPERM".into() }), false, "EPERM")]
#[case::not_read_to_its_end(None, false, "not read to its end")]
fn without_the_kernel_log_the_kill_is_still_attributed_and_the_gap_is_shown(
    #[case] gap: Option<Event>,
    #[case] drained: bool,
    #[case] words: &str,
) {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    if !drained {
        run.drop(|event| matches!(event, Event::KernelLogDrained { .. }));
    }
    if let Some(gap) = gap {
        run.add(5_350_000, gap);
    }
    let judgement = run.judged();
    let kill = hog(&judgement);
    assert_eq!((kill.killer, kill.limit.as_deref()), (Killer::Memcg, Some("work")));
    let log = kill.witnesses.iter().find(|witness| witness.name == "kernel log").expect("it is named");
    assert_eq!(log.agrees, Missing);
    assert!(log.says.contains(words), "{}", log.says);
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[test]
fn a_log_without_its_rate_limited_summary_still_speaks() {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    run.logged_kill(Scope::Memcg, HOG, "balloon");
    let judgement = run.judged();
    assert_eq!(agreement(hog(&judgement), "kernel log"), Some(Agrees));
    assert_eq!(hog(&judgement).limit.as_deref(), Some("work"), "the counters name the limit");
    assert_eq!(judgement.verdict, Verdict::Pass);
}

/// The summary is rate-limited, the kill is not, and it says of itself whether it was at a limit.
#[rstest]
#[case::at_a_limit(Scope::Memcg, "Memory cgroup out of memory: killed 215")]
#[case::of_the_machine(Scope::Global, "Out of memory: killed 215")]
fn a_kill_without_its_summary_is_said_in_the_kernels_words(#[case] scope: Scope, #[case] words: &str) {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    run.logged_kill(scope, HOG, "balloon");
    let judgement = run.judged();
    let log = hog(&judgement).witnesses.iter().find(|witness| witness.name == "kernel log");
    assert_eq!(log.expect("a witness").says, words);
}

#[test]
fn when_no_witness_names_the_limit_the_claim_of_one_is_open() {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    run.logged_kill(Scope::Memcg, HOG, "balloon");
    run.column("work:memory.events.local.oom", |_| None);
    let judgement = run.judged();
    assert_eq!((hog(&judgement).killer, hog(&judgement).limit.clone()), (Killer::Memcg, None));
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Inconclusive);
}

/// `work` goes down with the hog, and its counters were last read before the kill: they say nothing.
fn gone_with_its_counters(run: &mut Run) {
    for file in ["memory.events.oom_kill", "memory.events.oom", "memory.events.local.oom"] {
        run.column(&format!("work:{file}"), |at| (at < 5_300_000).then_some(0));
    }
}

#[test]
fn counters_that_went_with_the_victim_are_not_taken_for_zero() {
    let mut run = Run::claiming(KILLED);
    run.counts("run:memory.events.oom", 1);
    gone_with_its_counters(&mut run);
    let judgement = run.judged();
    let kill = hog(&judgement);
    assert_eq!((kill.killer, kill.limit.as_deref()), (Killer::Memcg, Some("work")), "{kill:#?}");
    let events = kill.witnesses.iter().find(|witness| witness.name == "memory.events").expect("a witness");
    assert_eq!(events.agrees, Agrees);
    assert_eq!(events.says, "run: oom_kill +1; oom +1 at a limit below it");
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[rstest]
#[case::machine_wide(1, 0, Killer::Global)]
#[case::at_the_limit_of_the_survivor(1, 1, Killer::Memcg)]
#[case::not_by_the_kernel(0, 0, Killer::Signal)]
fn above_a_cgroup_that_is_gone_the_counters_still_speak(
    #[case] kills: u64,
    #[case] oom: u64,
    #[case] killer: Killer,
) {
    let mut run = Run::claiming(KILLED);
    // Its scope knows that it was an OOM kill, the counters above it where.
    let result = if killer == Killer::Signal { "signal" } else { "oom-kill" };
    run.hog_ends(Some(ActorEnd::Signalled(9)), result);
    run.add(5_350_000, Event::KernelLogLost { records: 1 });
    gone_with_its_counters(&mut run);
    run.counts("run:memory.events.oom_kill", kills);
    run.counts("run:memory.events.oom", oom);
    run.counts("run:memory.events.local.oom", oom);
    let judgement = run.judged();
    let kill = hog(&judgement);
    assert_eq!(kill.killer, killer, "{kill:#?}");
    assert_eq!(kill.limit.as_deref(), (killer == Killer::Memcg).then_some("run"));
}

/// A cap above all that is sampled counts where nobody looks: without the kernel's log, a kill there may be its own.
#[rstest]
#[case::none(None, Killer::Global)]
#[case::of_an_ancestor(Some(("/bulkhead.slice", "1073741824")), Killer::Unknown)]
#[case::that_is_no_cap(Some(("/bulkhead.slice", "max")), Killer::Global)]
#[case::of_a_stranger(Some(("/system.slice", "1073741824")), Killer::Global)]
#[case::of_a_sampled_ancestor(Some((RUN_SLICE, "1073741824")), Killer::Global)]
fn where_no_sampled_limit_was_hit_it_may_have_been_one_above(
    #[case] above: Option<(&str, &str)>,
    #[case] killer: Killer,
) {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "oom-kill");
    run.add(5_350_000, Event::KernelLogLost { records: 1 });
    for subject in ["work", "run"] {
        run.counts(&format!("{subject}:memory.events.oom_kill"), 1);
    }
    if let Some((cgroup, max)) = above {
        let values = [("memory.max".to_owned(), max.to_owned())].into();
        run.add(400, Event::LimitsRead { cgroup: cgroup.into(), values });
    }
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, killer, "{:#?}", hog(&judgement));
}

#[test]
fn a_hog_killed_by_hand_fails() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "signal");
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, Killer::Signal);
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Fail);
    assert_eq!(judgement.verdict, Verdict::Fail);
}

/// SIGKILL may come from a daemon whose words were not read: then it is open who sent it, but it was not the kernel.
#[test]
fn a_sigkill_is_nobodys_while_a_daemon_that_was_not_heard_may_have_sent_it() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "signal");
    run.follows(Killer::Earlyoom);
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, Killer::Unknown);
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Inconclusive);
}

/// The silence of a daemon that was heard counts, whoever else was muted.
#[rstest]
#[case::its_own_unit("earlyoom.service", Killer::Unknown)]
#[case::another_unit("cron.service", Killer::Signal)]
fn a_muted_unit_speaks_for_nobody_but_its_daemon(#[case] muted: &str, #[case] killer: Killer) {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "signal");
    run.follows(Killer::Earlyoom);
    run.heard("earlyoom.service", 0);
    run.add(6_900_001, Event::DaemonMuted { unit: muted.into(), why: "LogLevelMax=2".into() });
    assert_eq!(hog(&run.judged()).killer, killer);
}

#[test]
fn a_machine_wide_kill_is_not_the_limits() {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    let cgroup = run.cgroup_of("hog");
    run.logged_summary(None, &cgroup, HOG);
    run.logged_kill(Scope::Global, HOG, "balloon");
    run.counts("work:memory.events.oom", 0);
    run.counts("work:memory.events.local.oom", 0);
    let judgement = run.judged();
    assert_eq!((hog(&judgement).killer, hog(&judgement).limit.clone()), (Killer::Global, None));
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[test]
fn the_right_victim_at_the_wrong_limit_fails() {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    let cgroup = run.cgroup_of("hog");
    run.logged_summary(Some(RUN_SLICE), &cgroup, HOG);
    run.logged_kill(Scope::Memcg, HOG, "balloon");
    run.counts("work:memory.events.local.oom", 0);
    run.counts("run:memory.events.local.oom", 1);
    run.column("run:memory.peak", |_| Some(650 * MIB));
    let judgement = run.judged();
    assert_eq!(hog(&judgement).limit.as_deref(), Some("run"));
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Fail);
}

#[test]
fn witnesses_that_name_different_limits_leave_it_open() {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    let cgroup = run.cgroup_of("hog");
    run.logged_summary(Some(RUN_SLICE), &cgroup, HOG);
    let judgement = run.judged();
    let kill = hog(&judgement);
    assert_eq!(kill.killer, Killer::Unknown);
    assert_eq!(agreement(kill, "kernel log"), Some(Contradicts));
    assert_eq!(agreement(kill, "memory.events"), Some(Contradicts));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

#[test]
fn one_witness_alone_names_nobody() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "success");
    run.add(5_350_000, Event::KernelLogLost { records: 1 });
    for cgroup in ["work", "run"] {
        run.column(&format!("{cgroup}:memory.events.oom_kill"), |_| None);
    }
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, Killer::Unknown);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

#[test]
fn a_hog_that_leaves_by_itself_was_not_killed() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Exited(0)), "success");
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, Killer::Exit);
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[test]
fn a_hog_that_lives_at_its_limit_was_not_killed() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(None, "success");
    run.counts("work:memory.events.max", 99);
    run.counts("work:memory.events.oom", 98);
    let judgement = run.judged();
    assert!(judgement.kills.is_empty());
    let found = finding(&judgement, "killed");
    assert_eq!(found.verdict, Verdict::Fail);
    assert_eq!(found.observed, "hog was still alive at the end (work: max +99, oom +98, oom_kill +0)");
}

#[test]
fn a_hog_that_was_seen_neither_dead_nor_alive_leaves_it_open() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(None, "success");
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    assert_eq!(verdict_of(&run.judged(), "killed"), Verdict::Inconclusive);
}

#[rstest]
#[case::at_the_edge(523 * MIB - MIB, Verdict::Pass)]
#[case::beyond_it(523 * MIB, Verdict::Fail)]
#[case::below_it(501 * MIB, Verdict::Fail)]
fn the_size_at_the_kill_must_be_within_two_percent(#[case] peak: u64, #[case] verdict: Verdict) {
    // 2 % of 512 MiB are 10.24 MiB: from 501.76 to 522.24 MiB.
    let mut run = Run::claiming(KILLED);
    run.column("work:memory.peak", |_| Some(peak));
    assert_eq!(verdict_of(&run.judged(), "killed"), verdict);
}

#[test]
fn another_signal_than_the_claimed_one_fails() {
    let claim = KILLED.replace("by = \"memcg\", limit = \"work\",", "by = \"signal\", signal = \"SIGTERM\",");
    let mut run = Run::claiming(&claim);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "signal");
    let judgement = run.judged();
    assert_eq!(finding(&judgement, "killed").observed, "hog ended by signal with signal 9");
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Fail);
}

/// Outside the run's slice each actor has a scope with a cap of its own, which nobody samples: its slice counts the
/// kill, and `oom` only below itself.
#[test]
fn a_bystander_at_its_own_cap_was_not_killed_by_the_machine() {
    let mut run = Run::claiming(KILLED);
    let cgroup = run.cgroup_of("canary");
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    run.add(5_500_000, Event::ActorEnded { actor: "canary".into(), end: ActorEnd::Signalled(9) });
    run.logged_summary(Some(&cgroup), &cgroup, CANARY);
    run.logged_kill(Scope::Memcg, CANARY, "bystander");
    for counter in ["oom", "oom_kill"] {
        run.counts(&format!("system.slice:memory.events.{counter}"), 1);
    }
    let unit = run.plan().actors[1].unit.clone();
    run.unit(&unit, When::After, Some(running("failed", "oom-kill")));
    let kills = run.judged().kills;
    assert_eq!((kills[1].killer, kills[1].limit.as_deref()), (Killer::Memcg, Some(&*cgroup)));
}

/// The counter of a shared cgroup knows no names: the log tells whose kill it counted.
#[test]
fn a_hog_killed_by_hand_beside_a_neighbour_killed_by_the_limit_fails() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "signal");
    run.counted_as_its_limit();
    let work = run.work();
    run.logged_summary(Some(&work), &format!("{work}/neighbour.scope"), 300);
    run.logged_kill(Scope::Memcg, 300, "neighbour");
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, Killer::Signal);
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Fail);
}

/// Two died in one slice, and nobody says whom the counter counted: oomd, which was not heard, may have taken one.
#[rstest]
#[case::each_of_them(2, Some(ActorEnd::Signalled(9)), "work", Killer::Memcg)]
#[case::one_of_them(1, Some(ActorEnd::Signalled(9)), "work", Killer::Unknown)]
#[case::one_of_them_nobody_knows_how(1, Some(ActorEnd::Unknown), "work", Killer::Unknown)]
#[case::the_other_left(1, Some(ActorEnd::Exited(0)), "work", Killer::Memcg)]
#[case::the_other_died_elsewhere(1, Some(ActorEnd::Signalled(9)), "system.slice", Killer::Memcg)]
#[case::the_other_lives(1, None, "work", Killer::Memcg)]
fn a_counter_speaks_only_where_it_counts_everybody_who_died(
    #[case] kills: u64,
    #[case] other: Option<ActorEnd>,
    #[case] place: &str,
    #[case] killer: Killer,
) {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "oom-kill");
    run.counted_as_its_limit();
    run.counts("work:memory.events.oom_kill", kills);
    run.add(5_350_000, Event::KernelLogLost { records: 9 });
    run.follows(Killer::SystemdOomd);
    let work = run.work();
    for stamped in &mut run.record.events {
        if let Event::ActorPlaced { actor, cgroup, .. } = &mut stamped.event
            && actor == "canary"
            && place == "work"
        {
            *cgroup = format!("{work}/canary.scope");
        }
    }
    if let Some(end) = other {
        run.drop(|event| matches!(event, Event::ActorAlive { .. }));
        run.add(5_350_000, Event::ActorEnded { actor: "canary".into(), end });
    }
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, killer, "{:#?}", hog(&judgement));
}

#[rstest]
#[case::two_sampled(1, 1, "work: oom_kill +1; work oom +1, run oom +1")]
#[case::one_below_as_well(3, 0, "work: oom_kill +1; work oom +1, below work oom +2")]
#[case::all_three(3, 1, "work: oom_kill +1; work oom +1, run oom +1, below work oom +2")]
fn several_limits_that_were_hit_are_all_named(
    #[case] work: u64,
    #[case] run_slice: u64,
    #[case] words: &str,
) {
    let mut run = Run::claiming(KILLED);
    run.counts("work:memory.events.oom", work);
    run.counts("run:memory.events.local.oom", run_slice);
    let judgement = run.judged();
    let kill = hog(&judgement);
    let events = kill.witnesses.iter().find(|witness| witness.name == "memory.events").expect("a witness");
    assert_eq!(events.says, words);
    assert_eq!(kill.limit.as_deref(), Some("work"), "the log names it");
}

/// Cleanup begins at 7.1 s: whoever ends from then on was ended by the harness.
#[rstest]
#[case::before(7_099_999, 1)]
#[case::with_it(7_100_000, 0)]
fn whoever_ends_in_the_cleanup_was_killed_by_nobody(#[case] at_us: u64, #[case] kills: usize) {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(None, "success");
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    run.add(at_us, Event::ActorEnded { actor: "hog".into(), end: ActorEnd::Signalled(15) });
    assert_eq!(run.judged().kills.len(), kills);
}

/// Who ignored SIGTERM was ended by whoever came later, and that earlyoom has no more to do with it.
#[test]
fn a_sigterm_that_was_ignored_does_not_make_earlyoom_the_sender_of_a_sigkill() {
    let mut run = Run::claiming(KILLED);
    run.hog_ends(Some(ActorEnd::Signalled(9)), "signal");
    run.follows(Killer::Earlyoom);
    run.heard("earlyoom.service", 1);
    let line = format!("sending SIGTERM to process {HOG} uid 0 \"balloon\": badness 883, VmRSS 51 MiB");
    run.earlyoom_says(5_350_000, &[line]);
    let judgement = run.judged();
    assert_eq!(hog(&judgement).killer, Killer::Signal, "{:#?}", hog(&judgement));
}

/// A group kill prints its first victim twice. The next report begins with whoever asked for memory, and what follows it
/// belongs to it, also where its own summary was lost.
#[rstest]
#[case::by_its_pid(HOG)]
#[case::by_a_thread_of_it(HOG + 10_000)]
fn a_group_kill_has_each_of_its_victims_once_and_nobody_of_the_next_report(#[case] logged: u32) {
    let mut run = Run::claiming(KILLED);
    run.no_kernel_oom();
    let work = run.work();
    let cgroup = run.cgroup_of("hog");
    run.logged_summary(Some(&work), &cgroup, HOG);
    run.logged_kill(Scope::Memcg, logged, "balloon");
    let mut says = |oom| run.add(5_305_000, Event::KernelOom { seq: 3, logged_us: Some(5_302_000), oom });
    says(OomEvent::GroupKill { path: work.parse().expect("a path") });
    says(killed(logged, "balloon"));
    says(killed(300, "neighbour"));
    says(OomEvent::Invoked { comm: "cron".into(), order: 0, oom_score_adj: 0 });
    says(killed(301, "cron"));
    let judgement = run.judged();
    assert_eq!(hog(&judgement).victims, ["balloon (pid 215)", "neighbour (pid 300)"]);
}

fn killed(pid: u32, comm: &str) -> OomEvent {
    OomEvent::Killed {
        scope: Scope::Memcg,
        pid,
        comm: comm.into(),
        total_vm_kb: 620_000,
        anon_kb: 520_000,
        file_kb: 2_000,
        shmem_kb: 0,
        uid: 0,
        oom_score_adj: 0,
    }
}
