//! Each rule by the smallest change to a scenario that passes all of them.

use rstest::rstest;

use super::check;
use crate::reading::diagnostic::Diagnostic;
use crate::scenario::Scenario;

const FINE: &str = r#"schema = 1
title = "t"
source = "s"
tags = ["core"]
safety = "contained"
deadline = "90s"
observe = "20s"
[requires]
memory = "1G"
swap = "256M"
[cgroup.work]
MemoryMax = "512M"
MemorySwapMax = "0"
[[actor]]
id = "hog"
kind = "balloon"
in = "work"
size = "600M"
text = "pinned"
[[actor]]
id = "canary"
kind = "heartbeat"
in = "system.slice"
every = "20ms"
[reached]
metric = "work:memory.peak"
min = { percent = 95, of = "work.MemoryMax" }
within = "10s"
[[expect]]
id = "killed"
kill = { victim = "hog", by = "memcg", limit = "work", at = { percent = 100, of = "work.MemoryMax", within-percent = 2 } }
[[expect]]
id = "flat"
metric = "host:swap.out"
max-delta = 0
[[expect]]
id = "only"
only-victims = ["hog"]
[[twin]]
id = "off"
set = { "work.MemoryMax" = "infinity" }
must-fail = ["killed", "flat", "only"]
[[twin.expect]]
id = "instead"
metric = "work:memory.peak"
min = "550M"
"#;

fn problems(text: &str) -> Vec<String> {
    let scenario = Scenario::parse("case.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let shown =
        |problem: &Diagnostic| format!("{}[{}]: {}", problem.rule.level, problem.rule.id, problem.message);
    check(&scenario).iter().map(shown).collect()
}

#[test]
fn a_sound_scenario_has_no_problems() {
    assert_eq!(problems(FINE), Vec::<String>::new());
}

#[rstest]
#[case(
    "600M",
    "1000M",
    "error[machine-at-risk]: with every cap removed the balloons take 1000.0 MiB, more than 90%"
)]
#[case(
    "size = \"600M\"",
    "size = \"95%\"",
    "error[machine-at-risk]: with every cap removed the balloons take 972.8 MiB"
)]
#[case(
    "memory = \"1G\"\n",
    "",
    "error[unstated-memory]: a contained scenario with balloons must say how much memory"
)]
#[case(
    "size = \"600M\"",
    "size = \"600M\"\nprofile = \"grow\"",
    "error[endless-growth]: balloon `hog` grows for ever"
)]
#[case(
    "size = \"600M\"",
    "size = \"600M\"\nprofile = \"grow\"\nrate = \"20M\"",
    "error[machine-at-risk]: with every cap removed the balloons take 1000.0 MiB"
)]
#[case(
    "size = \"600M\"",
    "size = \"600M\"\nprofile = \"sawtooth\"",
    "error[missing-key]: balloon `hog` is a sawtooth: it needs"
)]
#[case(
    "size = \"600M\"",
    "size = \"600M\"\nlow = \"1M\"",
    "error[misplaced-key]: balloon `hog` is not a sawtooth"
)]
#[case("size = \"600M\"", "size = \"0\"", "error[zero-size]: a balloon of no bytes takes nothing")]
#[case(
    "in = \"work\"",
    "in = \"system.slice\"",
    "error[contained-outside-the-run]: balloon `hog` ends up in system.slice, whose own limits"
)]
#[case(
    "MemorySwapMax = \"0\"",
    "in = \"system.slice\"",
    "error[contained-outside-the-run]: balloon `hog` ends up in system.slice, whose own limits"
)]
#[case(
    "600M",
    "400M",
    "error[never-reached]: the balloons in `work` take 400.0 MiB at most: 486.4 MiB is never reached"
)]
#[case(
    "percent = 95",
    "percent = 110",
    "error[never-reached]: `work` is capped at 512.0 MiB: 563.2 MiB is never reached"
)]
#[case(
    "min = { percent = 95, of = \"work.MemoryMax\" }",
    "min = 0",
    "error[reached-at-rest]: a minimum of 0 is reached before anything happens"
)]
#[case(
    "MemoryMax = \"512M\"",
    "MemoryMax = \"infinity\"",
    "error[share-of-infinity]: a share of no limit is never reached"
)]
#[case(
    "deadline = \"90s\"",
    "deadline = \"20s\"",
    "error[deadline-too-short]: the deadline of 20s ends a run that is watched for 21s"
)]
#[case(
    "deadline = \"90s\"",
    "deadline = \"30s\"",
    "warning[tight-deadline]: the deadline leaves less than 10s"
)]
#[case(
    "within = \"10s\"",
    "within = \"25s\"",
    "error[outlasts-observe]: nobody watches for 25s: observe is 20s"
)]
#[case(
    "every = \"20ms\"",
    "every = \"20ms\"\ndelay = \"20s\"",
    "error[outlasts-observe]: `canary` is released after 20s, when nobody watches"
)]
#[case(
    "text = \"pinned\"",
    "text = \"pinned\"\nOOMScoreAdjust = -1000",
    "error[unkillable-balloon]: balloon `hog` can never be killed"
)]
#[case(
    "text = \"pinned\"",
    "text = \"pinned\"\nOOMScoreAdjust = -1000",
    "error[unkillable-victim]: the kernel's OOM killer never takes `hog`"
)]
#[case(
    "text = \"pinned\"",
    "text = \"pinned\"\nprocesses = 2",
    "error[one-kill-many-processes]: `hog` is 2 processes, and this killer takes one at a time"
)]
#[case(
    "MemorySwapMax = \"0\"",
    "OOMPolicy = \"stop\"",
    "error[property-of-another-unit]: systemd knows no OOMPolicy for a slice"
)]
#[case(
    "MemorySwapMax = \"0\"",
    "MemoryZSwapMax = \"0\"",
    "warning[needs-newer-systemd]: MemoryZSwapMax on a slice needs systemd 253"
)]
#[case(
    "MemorySwapMax = \"0\"",
    "MemoryHigh = \"512M\"",
    "warning[high-above-max]: MemoryHigh never throttles in `work`"
)]
#[case("swap = \"256M\"\n", "", "warning[vacuous-without-swap]: `host:swap.out` is vacuous without swap")]
#[case("max-delta = 0", "min-delta = 0", "error[cannot-fail]: `min-delta` of 0 cannot fail")]
#[case(
    "max-delta = 0",
    "max = 0",
    "error[counts-since-boot]: `host:swap.out` counts since the machine booted"
)]
#[case(
    "host:swap.out",
    "work:memory.swap.peak",
    "warning[needs-newer-kernel]: `memory.swap.peak` needs kernel 6.5"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"canary:gap.p99\"\nmax-delta = \"1s\"",
    "error[statistic-without-delta]: `canary:gap.p99` is one number for a whole phase"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"canary:gap.p99\"\nmax = { percent = 200, of-phase = \"baseline\" }\nduring = \"baseline\"",
    "error[compares-with-itself]: this compares the baseline with itself"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"canary:gap.max\"\nmax = \"1s\"\nduring = \"hold\"",
    "warning[peak-remembers]: `canary:gap.max` is the highest since it began: what came before the hold counts"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"canary:accepted\"\nmin-delta = 1",
    "error[metric-stays-zero]: `canary` is a heartbeat: its `accepted` stays 0"
)]
#[case(
    "within-percent = 2",
    "within-percent = 0.05",
    "warning[tolerance-too-narrow]: 0.05% of 512.0 MiB is less than the 0.5 MiB by which charges are batched"
)]
#[case(
    "only-victims = [\"hog\"]",
    "only-victims = []",
    "error[contradiction]: `hog` must be killed by an OOM killer and is not among"
)]
#[case("only-victims = [\"hog\"]", "survives = [\"hog\"]", "error[contradiction]: `hog` cannot survive")]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "requires = { memory = \"2G\" }",
    "error[twin-changes-nothing]: in twin `off`: it breaks nothing"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"observe\" = \"19s\", \"hold\" = \"1s\" }",
    "error[twin-changes-nothing]: in twin `off`: it breaks nothing"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"work.MemoryMax\" = \"0.5G\", \"work.MemoryHigh\" = \"infinity\", \"hog.text\" = \"pinned\" }",
    "error[twin-changes-nothing]: in twin `off`: it changes nothing: what it sets is so already"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "drop = [\"hog\"]",
    "error[twin-drops-stress]: in twin `off`: it drops what [reached] watches"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"hog.size\" = \"400M\" }",
    "error[never-reached]: in twin `off`: the balloons in `work` take 400.0 MiB at most: 486.4 MiB is never reached"
)]
#[case(
    "[[twin.expect]]\nid = \"instead\"\nmetric = \"work:memory.peak\"\nmin = \"550M\"\n",
    "",
    "warning[twin-without-claim]: in twin `off`: it must turn `killed` red, and does not say what happens instead"
)]
#[case(
    "must-fail = [\"killed\", \"flat\", \"only\"]",
    "must-fail = [\"killed\"]",
    "warning[never-red]: no twin has to turn this red: flat, only"
)]
#[case(
    "max-delta = 0",
    "max-delta = 5\nmin-delta = 6",
    "error[contradiction]: `min-delta` is above `max-delta`: nothing is both"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"work:memory.swap.current\"\nmax-delta = 0",
    "error[gauge-delta]: `work:memory.swap.current` goes up and down: what went up and came back passes `max-delta`"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"host:swap.used\"\nmax-rate = \"512K\"",
    "error[gauge-delta]: `host:swap.used` goes up and down"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"canary:gap.max\"\nmax = \"21s\"",
    "warning[bound-out-of-reach]: `canary:gap.max` cannot exceed this: that part of the run lasts 21s at most"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"work:memory.pressure.full\"\nmin-rate = \"101%\"",
    "warning[bound-out-of-reach]: `work:memory.pressure.full` cannot reach this"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"canary:wakeups\"\nmin-delta = 1052",
    "warning[bound-out-of-reach]: `canary:wakeups` cannot reach this: `canary` beats every 20ms, for 21s at most"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"work:memory.peak\"\nmax = \"1G\"",
    "warning[bound-out-of-reach]: `work:memory.peak` cannot exceed this on a machine with the 1024.0 MiB of memory"
)]
#[case(
    "metric = \"host:swap.out\"\nmax-delta = 0",
    "metric = \"work:memory.swap.current\"\nmin = \"257M\"",
    "warning[bound-out-of-reach]: `work:memory.swap.current` cannot reach this on a machine with the 256.0 MiB of swap"
)]
#[case(
    "within-percent = 2 }",
    "within-percent = 101 }",
    "error[tolerance-too-wide]: within 101% of it is any size"
)]
#[case("within = \"10s\"", "within = \"0s\"", "error[zero-time]: `within` of 0s leaves no time")]
#[case("every = \"20ms\"", "every = \"0\"", "error[zero-time]: `every` of 0s leaves no time")]
#[case(
    "[reached]",
    "[protect]\nanswer = [{ tcp-banner = \"127.0.0.1:22\", within = \"1s\", every = \"0s\" }]\n[reached]",
    "error[zero-time]: `every` of 0s leaves no time"
)]
#[case(
    "[reached]",
    "[protect]\nanswer = [{ tcp-banner = \"127.0.0.1:22\", within = \"0s\" }]\n[reached]",
    "error[zero-time]: `within` of 0s leaves no time"
)]
#[case("only-victims = [\"hog\"]", "survives = []", "error[nobody-named]: nobody is named who must survive")]
#[case(
    "only-victims = [\"hog\"]",
    "only-victims = [\"hog\", \"canary\"]",
    "warning[everybody-allowed]: every actor is an allowed victim"
)]
#[case(
    "min = { percent = 95, of = \"work.MemoryMax\" }",
    "max = { percent = 95, of = \"work.MemoryMax\" }",
    "error[reached-at-rest]: `work:memory.peak` meets this bound before anything happens"
)]
#[case(
    "metric = \"work:memory.peak\"\nmin = { percent = 95, of = \"work.MemoryMax\" }",
    "metric = \"host:memory.available\"\nmax = \"1G\"",
    "error[reached-at-rest]: `host:memory.available` meets this bound before anything happens"
)]
#[case(
    "metric = \"work:memory.peak\"\nmin = { percent = 95, of = \"work.MemoryMax\" }",
    "metric = \"host:memory.available\"\nmin = \"100M\"",
    "error[reached-at-rest]: `host:memory.available` meets this bound before anything happens"
)]
#[case(
    "min = { percent = 95, of = \"work.MemoryMax\" }",
    "min = \"1M\"",
    "error[reached-at-rest]: `work:memory.peak` meets this bound before anything happens"
)]
#[case(
    "min = { percent = 95, of = \"work.MemoryMax\" }",
    "max = { percent = 95, of-phase = \"baseline\" }",
    "error[phase-not-over]: [reached] is watched while it happens"
)]
#[case(
    "observe = \"20s\"",
    "observe = \"20s\"\nhold = \"11s\"",
    "error[outlasts-observe]: the stress cannot be held for 11s: it is watched for 20s"
)]
#[case(
    "observe = \"20s\"",
    "observe = \"20s\"\nhold = \"2s\"\nenough = \"1s\"",
    "error[outlasts-observe]: the stress is never held for 2s: 1s of it are enough"
)]
#[case(
    "observe = \"20s\"",
    "observe = \"20s\"\nenough = \"0s\"",
    "error[zero-time]: `enough` of 0s leaves no time"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"work.MemoryMax\" = \"infinity\", \"hold\" = \"11s\" }",
    "error[outlasts-observe]: in twin `off`: the stress cannot be held for 11s"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"hog.size\" = \"950M\" }",
    "error[machine-at-risk]: in twin `off`: with every cap removed the balloons take 950.0 MiB"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"work.OOMPolicy\" = \"stop\" }",
    "error[property-of-another-unit]: in twin `off`: systemd knows no OOMPolicy for a slice"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"observe\" = \"90s\" }",
    "error[deadline-too-short]: in twin `off`: the deadline of 1min 30s ends a run that is watched for 1min 31s"
)]
#[case(
    "set = { \"work.MemoryMax\" = \"infinity\" }",
    "set = { \"work.MemoryMax\" = \"infinity\", \"observe\" = \"9s\", \"hold\" = \"1s\" }",
    "error[outlasts-observe]: in twin `off`: the stress cannot be held for 1s: it is watched for 9s"
)]
fn a_rule_is_found_out(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    assert!(FINE.contains(from), "the case changes nothing");
    let found = problems(&FINE.replacen(from, to, 1));
    assert!(
        found.iter().any(|problem| problem.starts_with(expected)),
        "expected {expected}\nfound {found:#?}"
    );
}

#[test]
fn a_core_scenario_has_a_twin() {
    let (text, _) = FINE.split_once("[[twin]]").unwrap();
    assert_eq!(
        problems(text),
        ["error[core-without-twin]: no [[twin]] breaks this on purpose: nothing shows that it can fail"]
    );
}

/// What falls under stress is reached at a maximum, what rises at a minimum, and both above and below what is at rest.
#[rstest]
#[case("metric = \"host:memory.available\"\nmax = \"400M\"")]
#[case("metric = \"host:oom_kill\"\nmin = 1")]
#[case("metric = \"work:memory.events.high\"\nmin = 50")]
#[case("metric = \"hog:touched\"\nmin = \"100M\"")]
fn a_stress_that_arrives_is_reached(#[case] reached: &str) {
    let from = "metric = \"work:memory.peak\"\nmin = { percent = 95, of = \"work.MemoryMax\" }";
    assert_eq!(problems(&FINE.replace(from, reached)), Vec::<String>::new());
}

/// One actor alone may be the only victim: the claim is about everybody else on the machine.
#[test]
fn a_scenario_of_one_may_name_it_the_only_victim() {
    let (before, rest) = FINE.split_once("[[actor]]\nid = \"canary\"").unwrap();
    let (_, after) = rest.split_once("[reached]").unwrap();
    assert_eq!(problems(&format!("{before}[reached]{after}")), Vec::<String>::new());
}

/// The cap around a run is there for what is in the run, and never in a destructive scenario.
#[rstest]
#[case("\"contained\"", "\"destructive\"", "a destructive run has no cap of the harness's own")]
#[case("[cgroup.work]", "[cgroup.work]\nin = \"system.slice\"", "`hog` runs outside the cap")]
fn the_cap_of_the_run_kills_only_what_it_holds(#[case] from: &str, #[case] to: &str, #[case] words: &str) {
    let own = "kill = { victim = \"hog\", by = \"memcg\", limit = \"run\" }";
    let text = FINE.replace("metric = \"work:memory.peak\"\nmin = \"550M\"", own);
    assert_eq!(problems(&text), Vec::<String>::new());
    let found = problems(&text.replace(from, to));
    let expected = format!("error[limit-not-around-victim]: in twin `off`: {words}");
    assert!(found.iter().any(|problem| problem.starts_with(&expected)), "{found:#?}");
}

#[test]
fn a_scenario_that_is_not_core_may_be_without_a_twin_with_a_warning() {
    let text = FINE.replace("\"core\"", "\"extra\"");
    let (text, _) = text.split_once("[[twin]]").unwrap();
    assert_eq!(
        problems(text),
        ["warning[no-twin]: no [[twin]] breaks this on purpose: nothing shows that it can fail"]
    );
}

#[test]
fn what_must_not_be_contained_may_take_everything() {
    let text = FINE.replace("\"contained\"", "\"destructive\"").replace("600M", "100G");
    assert_eq!(problems(&text), Vec::<String>::new());
}

/// The press that empties a machine may be unkillable, a balloon under a cap may not: there the kernel would loop.
#[rstest]
#[case("MemoryMax = \"512M\"", "MemoryMax = \"512M\"", true)]
#[case("in = \"work\"", "in = \"system.slice\"", false)]
#[case("MemoryMax = \"512M\"", "MemoryMax = \"infinity\"", false)]
fn an_unkillable_balloon_of_a_destructive_scenario_has_no_cap(
    #[case] from: &str,
    #[case] to: &str,
    #[case] refused: bool,
) {
    let text = FINE
        .replace("\"contained\"", "\"destructive\"")
        .replace("text = \"pinned\"", "text = \"pinned\"\nOOMScoreAdjust = -1000");
    let found = problems(&text.replace(from, to));
    assert_eq!(found.iter().any(|problem| problem.contains("can never be killed")), refused, "{found:#?}");
}

/// Whom the kernel never takes, systemd-oomd may: by cgroup, whatever the score.
#[test]
fn an_order_of_kills_may_name_whom_only_oomd_takes() {
    let text = FINE
        .replace("every = \"20ms\"", "every = \"20ms\"\nOOMScoreAdjust = -1000")
        .replace("only-victims = [\"hog\"]", "kill-order = [\"hog\", \"canary\"]");
    let expected =
        "warning[order-of-unkillable]: the kernel's OOM killer never takes `canary`: OOMScoreAdjust is -1000";
    assert_eq!(problems(&text), [expected]);
}

#[test]
fn the_control_has_gaps_of_its_own() {
    let text = FINE.replace("kind = \"heartbeat\"", "kind = \"sleeper\"").replace("every = \"20ms\"", "");
    let text = text
        .replace("metric = \"host:swap.out\"\nmax-delta = 0", "metric = \"canary:gap.max\"\nmax = \"1s\"");
    assert_eq!(problems(&text), Vec::<String>::new());
}

/// What a twin must show is checked as it runs: with the machine and the killers of the twin.
#[rstest]
#[case(
    "kill = { victim = \"hog\", by = \"memcg\", limit = \"work\" }",
    "error[cap-never-hit]: in twin `off`: `work` has no MemoryMax"
)]
#[case(
    "metric = \"host:swap.out\"\nmin-delta = 0",
    "error[cannot-fail]: in twin `off`: `min-delta` of 0 cannot fail"
)]
#[case(
    "kill-order = [\"hog\", \"hog\"]",
    "error[contradiction]: in twin `off`: `hog` cannot be killed twice"
)]
#[case(
    "oomd = { watches = \"work\", trigger = \"pressure\" }",
    "error[oomd-not-watching]: in twin `off`: systemd-oomd does not watch"
)]
#[case("earlyoom = { selects = [\"hog\"] }", "error[killer-not-running]: in twin `off`: no earlyoom runs")]
fn a_claim_of_a_twin_is_checked_in_the_twin(#[case] claim: &str, #[case] expected: &str) {
    let found = problems(&format!("{FINE}[[twin.expect]]\nid = \"own\"\n{claim}\n"));
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{found:#?}");
}

/// The scenario's own claim that fails in the twin does not contradict the twin's.
#[test]
fn a_twin_may_claim_what_the_scenario_denies() {
    let text = format!("{FINE}[[twin.expect]]\nid = \"own\"\nsurvives = [\"hog\"]\n");
    assert_eq!(problems(&text), Vec::<String>::new());
}

#[test]
fn the_victim_must_run_under_the_limit_that_kills_it() {
    let text = FINE
        .replace("[[actor]]\nid = \"hog\"", "[cgroup.other]\nMemoryMax = \"64M\"\n[[actor]]\nid = \"hog\"");
    let found = problems(&text.replace("limit = \"work\"", "limit = \"other\""));
    assert_eq!(
        found,
        [
            "error[limit-not-around-victim]: `hog` does not run in `other` or below it: that limit cannot kill it",
            "error[cap-never-hit]: the balloons in `other` take 0.0 MiB and fit under its cap of 64.0 MiB",
        ]
    );
}

/// Without a promised memory size a share of the machine is no number, and nothing can be said about it.
#[test]
fn shares_of_an_unknown_machine_are_not_compared() {
    let text = FINE.replace("\"contained\"", "\"pressure\"").replace("memory = \"1G\"\n", "");
    assert_eq!(problems(&text.replace("MemoryMax = \"512M\"", "MemoryMax = \"50%\"")), Vec::<String>::new());
    assert_eq!(problems(&text.replace("size = \"600M\"", "size = \"60%\"")), Vec::<String>::new());
}

/// A cap that does not exist is told apart from one whose size is not known.
#[test]
fn a_kill_by_a_cap_that_is_not_there_is_refused() {
    let text = FINE
        .replace("limit = \"work\", at", "limit = \"bare\", at")
        .replace("in = \"work\"", "in = \"bare\"");
    let found = problems(&format!("{text}[cgroup.bare]\nin = \"work\"\n"));
    assert_eq!(found, ["error[cap-never-hit]: `bare` has no MemoryMax that could be hit"]);
}
