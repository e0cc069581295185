//! What the daemons of both guests really print, read back. Where each file comes from: fixtures/daemons/README.md.

use harness::killer::earlyoom::{Left, crossed, left};
use harness::killer::oomd::parse;
use harness::killer::{Daemon, Says, earlyoom, oomd};
use harness::notation::signal::Signal;
use rstest::rstest;

const WORK: &str = "/bulkhead.slice/bulkhead-rexample.slice/bulkhead-rexample-work.slice";

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/daemons/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a log means, line by line.
fn says<'a>(daemon: &'a Daemon, log: &'a str) -> impl Iterator<Item = Says<'a>> {
    log.lines().filter_map(daemon.says)
}

/// Whom earlyoom chose, and with which signal.
fn choices(log: &str) -> Vec<(Signal, &str)> {
    let chosen = says(&earlyoom::DAEMON, log).filter_map(|says| match says {
        Says::Signals { signal, comm, .. } => Some((signal, comm)),
        _ => None,
    });
    chosen.collect()
}

#[rstest]
#[case("oomctl-252-pressure.txt")]
#[case("oomctl-257-pressure.txt")]
fn an_armed_oomd_lists_the_slice_it_watches_for_pressure(#[case] name: &str) {
    let dump = parse(&fixture(name));
    assert_eq!(dump.dry_run, Some(false));
    assert_eq!(dump.pressure, [WORK]);
    assert!(!dump.swap.iter().any(|path| path == WORK), "{:?}", dump.swap);
}

#[rstest]
#[case("oomctl-252-swap.txt")]
#[case("oomctl-257-swap.txt")]
fn an_armed_oomd_lists_the_slice_it_watches_for_swap(#[case] name: &str) {
    let dump = parse(&fixture(name));
    assert_eq!(dump.dry_run, Some(false));
    assert!(dump.swap.iter().any(|path| path == WORK), "{:?}", dump.swap);
    assert!(dump.pressure.is_empty(), "{:?}", dump.pressure);
}

#[rstest]
#[case("oomd-252-kills.log")]
#[case("oomd-257-kills.log")]
fn oomd_took_the_innocent_reader_first_and_the_hogs_after_it(#[case] name: &str) {
    let log = fixture(name);
    let victims: Vec<Says<'_>> = says(&oomd::DAEMON, &log).collect();
    let hog = format!("{WORK}/bulkhead-rexample-work-hog.scope");
    let reader = format!("{WORK}/bulkhead-rexample-work-reader.scope");
    assert_eq!(victims, [&reader, &hog, &hog].map(|cgroup| Says::Killed { cgroup }));
}

#[rstest]
#[case("earlyoom-1.7-dry.log")]
#[case("earlyoom-1.8.2-dry.log")]
fn a_dry_earlyoom_says_so_and_chooses_the_preferred_hog_every_time(#[case] name: &str) {
    let log = fixture(name);
    assert!(says(&earlyoom::DAEMON, &log).any(|says| says == Says::RunsDry));
    let choices = choices(&log);
    assert!(choices.len() >= 3, "{} choices", choices.len());
    for choice in choices {
        assert_eq!(choice, (Signal::Term, "a-runaway-agent"));
    }
}

/// What was left, and the limits of the SIGTERM threshold, when earlyoom chose first; all its later choices have such
/// lines before them, too.
#[rstest]
#[case("earlyoom-1.7-dry.log", (66.49, 100.0), (99.0, 100.0))]
#[case("earlyoom-1.7-live.log", (19.78, 0.0), (20.0, 100.0))]
#[case("earlyoom-1.8.2-dry.log", (71.90, 100.0), (99.0, 100.0))]
#[case("earlyoom-1.8.2-live.log", (19.86, 0.0), (20.0, 100.0))]
fn each_choice_follows_a_threshold(#[case] name: &str, #[case] seen: (f64, f64), #[case] limit: (f64, f64)) {
    let log = fixture(name);
    let lines: Vec<&str> = log.lines().collect();
    let at: Vec<usize> = (0..lines.len()).filter(|at| !choices(lines[*at]).is_empty()).collect();
    let as_left = |(memory, swap)| Left { memory, swap };
    assert_eq!(left(lines[at[0] - 2]), Some(as_left(seen)));
    for at in at {
        let over = crossed(lines[at - 1]).unwrap_or_else(|| panic!("{}", lines[at - 1]));
        assert_eq!((over.signal, over.limit), (Signal::Term, as_left(limit)));
        assert!(
            left(lines[at - 2]).is_some_and(|left| left.memory <= over.limit.memory),
            "{}",
            lines[at - 2]
        );
    }
}

#[rstest]
#[case("earlyoom-1.7-live.log")]
#[case("earlyoom-1.8.2-live.log")]
fn a_live_earlyoom_escalates_where_sigterm_is_not_heard(#[case] name: &str) {
    let log = fixture(name);
    let says: Vec<Says<'_>> = says(&earlyoom::DAEMON, &log).collect();
    let [Says::Signals { comm: first, .. }, Says::Signals { comm: second, .. }, Says::Escalates { signal }] =
        says[..]
    else {
        panic!("{says:?}");
    };
    assert_eq!((first, second, signal), ("hog-listens", "hog-ignores", Signal::Kill));
}
