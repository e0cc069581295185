//! The balloon at work.

use crate::actor::{Actor, BALLOON, until};
use balloon::status::{Kind, Phase};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use std::os::unix::process::ExitStatusExt;

const MIB: u64 = 1 << 20;

#[rstest]
#[case(&["--kind", "anon", "--pages", "random"], Kind::Anon)]
#[case(&["--kind", "shmem"], Kind::Shmem)]
#[case(&["--kind", "file", "--file", "pages"], Kind::File)]
#[case(&["--huge-pages", "always"], Kind::Anon)]
#[case(&["--huge-pages", "never"], Kind::Anon)]
#[case(&["--profile", "plateau", "--step", "64K"], Kind::Anon)]
#[case(&["--rate", "64M"], Kind::Anon)]
#[case(&["--mlock"], Kind::Anon)]
fn every_kind_of_memory_becomes_resident(#[case] args: &[&str], #[case] kind: Kind) {
    let mut actor = Actor::start(BALLOON, &[&["--total", "16M", "--hold", "0"], args].concat());
    assert!(actor.ended().success());
    let snapshot = actor.page.snapshot();
    assert_eq!((snapshot.kind(), snapshot.phase()), (Some(kind), Some(Phase::Done)));
    assert_eq!(snapshot.touched, 16 * MIB);
    assert!(snapshot.resident_checked >= 15 * MIB, "{}", snapshot.resident_checked);
}

#[test]
fn a_total_is_rounded_up_to_whole_pages() {
    let actor = Actor::start(BALLOON, &["--total", "5000"]);
    let snapshot = actor.until_holding();
    assert_eq!((snapshot.total, snapshot.touched), (8192, 8192));
}

#[test]
fn a_paced_balloon_takes_its_time() {
    let actor = Actor::start(BALLOON, &["--total", "8M", "--rate", "32M", "--huge-pages", "never"]);
    let snapshot = actor.until_holding();
    let took_ms = (snapshot.reached_ns - snapshot.started_ns) / 1_000_000;
    assert!(took_ms >= 249, "{took_ms} ms");
    assert!(snapshot.wakeups >= 7, "{}", snapshot.wakeups);
    assert_eq!(snapshot.steps, 8);
}

#[test]
fn a_sawtooth_goes_down_and_up_again() {
    let args = ["--total", "32M", "--profile", "sawtooth", "--low", "8M", "--period", "0.4"];
    let actor = Actor::start(BALLOON, &args);
    for _ in 0..2 {
        actor.until("it is at the top", |snapshot| snapshot.touched == 32 * MIB);
        actor.until("it is down", |snapshot| (8 * MIB..16 * MIB).contains(&snapshot.touched));
        assert!(actor.field("VmRSS") < 24 << 10);
    }
}

#[test]
fn a_growing_balloon_passes_its_total() {
    let actor = Actor::start(BALLOON, &["--total", "4M", "--profile", "grow", "--rate", "64M"]);
    let snapshot = actor.until("it has grown on", |snapshot| snapshot.touched >= 16 * MIB);
    assert_eq!((snapshot.phase(), snapshot.total), (Some(Phase::Holding), 4 * MIB));
}

#[test]
fn slow_growth_is_reported_in_small_steps() {
    let actor = Actor::start(BALLOON, &["--total", "1M", "--profile", "grow", "--rate", "256K"]);
    let snapshot = actor.until("it has grown a little", |snapshot| snapshot.steps >= 2);
    assert!(snapshot.touched < MIB, "{}", snapshot.touched);
}

#[test]
fn retouching_goes_on_after_the_total() {
    let actor = Actor::start(BALLOON, &["--total", "8M", "--retouch", "5"]);
    let held = actor.until_holding();
    actor.until("it has touched all again twice", |snapshot| snapshot.steps >= held.steps + 8);
    assert_eq!(actor.page.snapshot().touched, 8 * MIB);
}

#[test]
fn a_held_balloon_gives_signs_of_life_and_otherwise_sleeps() {
    let actor = Actor::start(BALLOON, &["--total", "1M"]);
    let held = actor.until("it woke", |snapshot| snapshot.wakeups >= 1);
    let later = actor.until("it woke again", |snapshot| snapshot.wakeups >= held.wakeups + 3);
    let apart_ms = (later.updated_ns - held.updated_ns) / 1_000_000;
    assert!(apart_ms >= 190, "{apart_ms} ms");
}

#[test]
fn locked_memory_is_locked_and_huge_pages_can_be_forbidden() {
    let actor = Actor::start(BALLOON, &["--total", "8M", "--mlock", "--huge-pages", "never"]);
    actor.until_holding();
    assert!(actor.field("VmLck") >= 8 << 10);
    assert_eq!(actor.field("THP_enabled"), 0);
}

#[test]
fn pinned_text_is_locked() {
    let actor = Actor::start(BALLOON, &["--total", "1M", "--text", "pinned"]);
    actor.until_holding();
    assert!(actor.field("VmLck") >= 512, "{} KiB", actor.field("VmLck"));
}

#[test]
fn evictable_text_is_that_of_the_copy_and_nothing_else_changes() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let copy = dir.path().join("copy");
    std::fs::copy(BALLOON, &copy).unwrap();
    let args =
        ["--total", "8M", "--comm", "hog (1)", "--text", "evictable", "--text-copy", copy.to_str().unwrap()];
    let actor = Actor::waiting(BALLOON, &args);
    let program = || std::fs::read_link(format!("/proc/{}/exe", actor.pid())).unwrap();
    assert_eq!(program().as_os_str(), BALLOON);
    actor.page.release();
    let snapshot = actor.until_holding();
    assert_eq!(program(), copy);
    assert_eq!((snapshot.pid, snapshot.touched), (actor.pid(), 8 * MIB));
    assert_eq!((actor.proc("comm").as_str(), actor.field("VmLck")), ("hog (1)", 0));
}

#[test]
fn processes_share_the_total_and_a_killed_one_is_noticed() {
    let mut actor = Actor::start(BALLOON, &["--total", "64M", "--processes", "4"]);
    let held = actor.until_holding();
    assert_eq!((held.touched, held.children), (64 * MIB, 4));
    assert_eq!(held.touched_by[..5], [16 * MIB, 16 * MIB, 16 * MIB, 16 * MIB, 0]);
    assert_eq!(held.children().count(), 4);
    let second = Pid::from_raw(held.pids[1].try_into().unwrap());
    kill(second, Signal::SIGKILL).unwrap();
    let fewer = actor.until("the death is noticed", |snapshot| {
        snapshot.children_killed == 1 && snapshot.touched == 48 * MIB
    });
    assert_eq!((fewer.touched_by[1], fewer.phase()), (16 * MIB, Some(Phase::Holding)));
    kill(Pid::from_raw(actor.pid().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(actor.ended().signal(), Some(15));
    assert_eq!(actor.page.snapshot().children_killed, 4);
}

#[test]
fn the_exit_code_tells_that_one_of_several_was_killed() {
    let mut actor = Actor::start(BALLOON, &["--total", "8M", "--processes", "2", "--hold", "0.3"]);
    let held = actor.until_holding();
    kill(Pid::from_raw(held.pids[0].try_into().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(actor.ended().code(), Some(6));
    let snapshot = actor.page.snapshot();
    assert_eq!((snapshot.children_killed, snapshot.children_ended), (1, 1));
    assert!(snapshot.text().contains("1 of 2 processes were killed"), "{}", snapshot.text());
}

#[test]
fn processes_that_have_held_for_long_enough_end_well() {
    let mut actor = Actor::start(BALLOON, &["--total", "8M", "--processes", "3", "--hold", "0"]);
    assert!(actor.ended().success());
    let snapshot = actor.page.snapshot();
    assert_eq!((snapshot.phase(), snapshot.children_ended), (Some(Phase::Done), 3));
}

#[test]
fn the_file_of_a_balloon_is_gone_while_it_is_held() {
    let actor = Actor::start(BALLOON, &["--total", "4M", "--kind", "file", "--file", "pages"]);
    actor.until_holding();
    until("only the page is left", || {
        let names: Vec<_> =
            std::fs::read_dir(actor.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        (names == ["status"]).then_some(())
    });
}

/// Ignored signals as `/proc/PID/status` has them (proc_pid_status(5)): bit 14 is SIGTERM.
fn ignores_sigterm(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0
}

#[test]
fn a_balloon_that_ignores_sigterm_waits_as_any_other_and_holds_on_later() {
    let mut actor = Actor::waiting(BALLOON, &["--total", "1M", "--ignore-sigterm"]);
    assert!(!ignores_sigterm(&actor.proc("status")));
    actor.page.release();
    actor.until_holding();
    assert!(ignores_sigterm(&actor.proc("status")));
    let pid = Pid::from_raw(actor.pid().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let before = actor.page.snapshot().wakeups;
    actor.until("it goes on", |snapshot| snapshot.wakeups >= before + 2);
    assert_eq!(actor.child.try_wait().unwrap(), None);
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(actor.ended().signal(), Some(2));
}

#[test]
fn several_processes_ignore_sigterm_together() {
    let args = ["--total", "8M", "--processes", "2", "--ignore-sigterm"];
    let mut actor = Actor::start(BALLOON, &args);
    let held = actor.until_holding();
    for pid in held.children().chain([actor.pid()]) {
        assert!(ignores_sigterm(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap()));
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGTERM).unwrap();
    }
    let before = actor.page.snapshot().wakeups;
    actor.until("they go on", |snapshot| snapshot.wakeups >= before + 4);
    assert_eq!((actor.page.snapshot().children_killed, actor.child.try_wait().unwrap()), (0, None));
}

#[test]
fn a_balloon_ends_at_sigterm_unless_told_otherwise() {
    let mut actor = Actor::start(BALLOON, &["--total", "1M"]);
    actor.until_holding();
    kill(Pid::from_raw(actor.pid().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(actor.ended().signal(), Some(15));
}
