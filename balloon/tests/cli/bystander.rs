//! The bystanders at work.

use crate::actor::{Actor, BYSTANDER, until};
use balloon::status::{Kind, Snapshot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};
use rstest::rstest;
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[rstest]
#[case(&["heartbeat", "--every", "5"], Kind::Heartbeat)]
#[case(&["sleeper"], Kind::Sleeper)]
#[case(&["spinner", "--threads", "2"], Kind::Spinner)]
#[case(&["writer", "--file", "ledger", "--bytes", "100000", "--every", "1"], Kind::Writer)]
#[case(&["reader", "--file", "status", "--every", "1"], Kind::Reader)]
#[case(&["forker", "--children", "1", "--every", "5"], Kind::Forker)]
fn a_bystander_steps_on_after_its_release_and_counts_gaps(#[case] args: &[&str], #[case] kind: Kind) {
    let actor = Actor::waiting(BYSTANDER, args);
    assert_eq!((actor.page.snapshot().kind(), actor.page.snapshot().steps), (Some(kind), 0));
    actor.page.release();
    let snapshot = actor.until("it has stepped", |snapshot| snapshot.steps >= 5 && snapshot.gap_max_ns > 0);
    assert!(snapshot.gaps().count() >= 4 && snapshot.p(0.99).unwrap() <= snapshot.gap_max_ns);
}

#[test]
fn a_heartbeat_touches_fresh_memory_with_every_beat_and_keeps_none() {
    let actor = Actor::start(BYSTANDER, &["heartbeat", "--every", "1", "--touch", "1M"]);
    let early = actor.until("it beats", |snapshot| snapshot.steps >= 5);
    let late = actor.until("it beats on", |snapshot| snapshot.steps >= early.steps + 20);
    let (faults, beats) = (late.minor_faults - early.minor_faults, late.steps - early.steps);
    // One fault at least for 2 MiB of huge page, 256 for 4 KiB pages; cells are read one after another.
    assert!(faults + 1 >= beats, "{faults} faults in {beats} beats");
    assert!(actor.field("VmRSS") < 16 << 10);
}

#[test]
fn a_stopped_heartbeat_has_a_gap_and_its_missed_beats_count() {
    let actor = Actor::start(BYSTANDER, &["heartbeat", "--every", "10"]);
    let before = actor.until("it beats", |snapshot| snapshot.steps >= 3);
    let pid = Pid::from_raw(actor.pid().try_into().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = Instant::now();
    until("300 ms have passed", || (stopped.elapsed() > Duration::from_millis(300)).then_some(()));
    kill(pid, Signal::SIGCONT).unwrap();
    actor.until("the gap and the beats that it swallowed show", |snapshot| {
        snapshot.gap_max_ns >= 280_000_000 && snapshot.gaps().since(&before.gaps()).count() >= 25
    });
}

#[test]
fn a_server_answers_with_its_name_and_a_number() {
    let actor = Actor::start(BYSTANDER, &["--comm", "srv", "tcp-server", "--listen", "127.0.0.1:0"]);
    let snapshot = actor.until("it listens", |snapshot| snapshot.port != 0);
    for number in 1..=3 {
        let mut line = String::new();
        let port = u16::try_from(snapshot.port).unwrap();
        TcpStream::connect(("127.0.0.1", port)).unwrap().read_to_string(&mut line).unwrap();
        assert_eq!(line, format!("bulkhead srv {number}\n"));
    }
    actor.until("all are counted", |snapshot| snapshot.accepted == 3 && snapshot.steps == 3);
    actor.until("it noticed how late it wakes", |snapshot| snapshot.gaps().count() > 0);
}

#[test]
fn a_port_that_is_taken_is_a_failure_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut actor = Actor::start(BYSTANDER, &["tcp-server", "--listen", &address]);
    assert_eq!(actor.ended().code(), Some(3));
    let words = actor.page.snapshot().text().to_owned();
    assert!(words.contains(&format!("cannot listen on {address}: Address already in use")), "{words}");
}

#[test]
fn some_children_escape_into_sessions_of_their_own() {
    let actor = Actor::start(BYSTANDER, &["forker", "--children", "8", "--escape", "--every", "5"]);
    let snapshot = actor.until("the tree is there", |snapshot| snapshot.children().count() == 8);
    let own = |snapshot: &Snapshot| {
        let pids = snapshot.children().map(|pid| Pid::from_raw(pid.try_into().unwrap()));
        pids.filter(|&pid| getsid(Some(pid)) == Ok(pid)).count()
    };
    until("they have their sessions", || (own(&snapshot) >= 2 && own(&snapshot) < 8).then_some(()));
}

#[test]
fn the_control_is_locked_in_memory() {
    let actor = Actor::start(BYSTANDER, &["sleeper"]);
    actor.until("it wakes", |snapshot| snapshot.wakeups >= 2);
    assert!(actor.field("VmLck") > 512);
}
