//! Where actors and the harness itself are, and with what, while the stress is on.

use harness::exit_code::ExitCode;
use harness::record::Event;
use harness::record::event::Mark;
use rstest::rstest;

use crate::machine::{Machine, actor_pid};

/// The harness's own peak of resident memory.
const PEAK: u64 = 10 << 20;

#[rstest]
#[case::from_a_plain_parent("")]
#[case::from_a_parent_that_is_never_killed("echo -1000 >/proc/self/oom_score_adj")]
fn an_actor_has_the_oom_score_adj_of_its_scenario_wherever_the_harness_came_from(#[case] before: &str) {
    let machine = Machine::new("oom-score-adj");
    let run = machine.start_with("dies-at-its-cap", "none", before);
    run.reaches(Mark::Climb);
    let read = machine.sh(&format!(
        "cd /proc; cat {}/oom_score_adj $({})/oom_score_adj $({})/oom_score_adj",
        run.pid(),
        actor_pid("hog"),
        actor_pid("canary"),
    ));
    assert_eq!(read, "-1000\n0\n0");
    let (code, judged) = run.end();
    assert_eq!(code, ExitCode::Passed, "{:#?}", judged.judgement);
    for placed in judged.record.events.iter().filter_map(|stamped| match &stamped.event {
        Event::ActorPlaced { oom_score_adj, .. } => Some(*oom_score_adj),
        _ => None,
    }) {
        assert_eq!(placed, 0);
    }
}

#[test]
fn an_actor_is_in_its_cgroup_before_it_takes_a_byte() {
    let machine = Machine::new("placed");
    let run = machine.start("dies-at-its-cap");
    run.reaches(Mark::Climb);
    let told = machine.sh(&format!("cut -d: -f3 /proc/$({})/cgroup", actor_pid("hog")));
    let (_, judged) = run.end();
    let plan = judged.record.head.plan.as_ref().expect("a plan");
    for actor in &plan.actors {
        let placed = judged.position(|event| {
            matches!(event, Event::ActorPlaced { actor: id, cgroup, .. } if actor.id == id.as_str() && *cgroup == actor.cgroup.path().as_str())
        });
        let released = judged
            .position(|event| matches!(event, Event::ActorReleased { actor: id } if actor.id == id.as_str()));
        assert!(placed < released, "{}", actor.id);
    }
    let hog = plan.actors.iter().find(|actor| actor.id == "hog").expect("the hog");
    assert_eq!(told, hog.cgroup.path().as_str());
    let released = judged.position(|event| matches!(event, Event::ActorReleased { actor } if actor == "hog"));
    let untouched: Vec<u64> = judged.record.events[..released]
        .iter()
        .filter_map(|stamped| match &stamped.event {
            Event::ActorStatus { actor, status, .. } if actor == "hog" => Some(status.touched),
            _ => None,
        })
        .collect();
    assert_eq!(untouched, [0, 0], "at the beginnings of baseline and climb");
    let at = judged.record.events[released].at_us;
    let samples = judged.record.samples.series("work:memory.current");
    let before = samples.filter(|(when, _)| *when < at).map(|(_, bytes)| bytes).max();
    assert!(before.is_some_and(|bytes| bytes < 1 << 20), "work held {before:?} bytes before the release");
}

#[test]
fn the_harness_is_small_locked_and_sheltered() {
    let machine = Machine::new("shelter");
    machine.sh("swapon /dev/vdc");
    let run = machine.start("hard-cap-kill");
    run.reaches(Mark::Baseline);
    let told = machine.sh(&format!(
        "cgroup=$(cut -d: -f3 /proc/{pid}/cgroup)
         cat /sys/fs/cgroup/bulkhead.slice/memory.min /sys/fs/cgroup/bulkhead.slice/bulkhead-harness.slice/memory.min \
             /sys/fs/cgroup$cgroup/memory.min
         awk '/^VmLck:/ {{ print ($2 > 0 ? \"locked\" : \"not locked\") }}' /proc/{pid}/status
         echo $cgroup",
        pid = run.pid(),
    ));
    let (code, judged) = run.end();
    assert_eq!(code, ExitCode::Passed, "{:#?}", judged.judgement);
    let run = &judged.record.head.plan.as_ref().expect("a plan").run;
    let scope = format!("/bulkhead.slice/bulkhead-harness.slice/bulkhead-harness-{run}.scope");
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        ["33554432", "33554432", "33554432", "locked", scope.as_str()]
    );
    let peak = judged.record.events.iter().find_map(|stamped| match stamped.event {
        Event::SelfUse { peak_rss, .. } => Some(peak_rss),
        _ => None,
    });
    assert!(peak.is_some_and(|bytes| bytes > 0 && bytes <= PEAK), "{peak:?} bytes");
}
