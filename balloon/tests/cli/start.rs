//! From the start to the release: page, oom_score_adj, name, wait.

use crate::actor::{Actor, BALLOON, BYSTANDER, until};
use balloon::status::{Kind, Page, Phase, read};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rstest::rstest;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

#[test]
fn a_balloon_takes_nothing_until_it_is_released_and_then_reaches_its_total() {
    let actor = Actor::waiting(BALLOON, &["--total", "64M"]);
    let before = actor.page.snapshot();
    assert_eq!((before.kind(), before.touched, before.started_ns), (Some(Kind::Anon), 0, 0));
    assert_eq!((before.total, before.pid), (64 << 20, actor.pid()));
    assert!(actor.field("VmRSS") < 16 << 10);
    actor.page.release();
    let reached = actor.until("the self-check is done", |snapshot| snapshot.resident_checked > 0);
    assert_eq!((reached.touched, reached.phase()), (64 << 20, Some(Phase::Holding)));
    assert!(reached.resident_checked >= 60 << 20 && reached.minor_faults > 0);
    assert!(reached.started_ns > 0 && reached.reached_ns > reached.started_ns);
    assert_eq!((reached.steps, reached.gaps().count()), (32, 32));
}

#[test]
fn the_oom_score_adj_is_set_before_the_release() {
    let actor = Actor::waiting_with("500", BYSTANDER, &["sleeper"]);
    assert_eq!(actor.proc("oom_score_adj"), "500");
}

#[test]
fn an_oom_score_adj_that_the_kernel_refuses_is_a_failure_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let status = dir.path().join("status");
    let done = Command::new("setpriv")
        .args([
            "--bounding-set",
            "-sys_resource",
            BALLOON,
            "--total",
            "1M",
            "--oom-score-adj",
            "-300",
            "--status",
        ])
        .arg(&status)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stderr));
    let snapshot = read(&status).unwrap();
    assert_eq!((snapshot.touched, snapshot.errno), (0, 13));
    assert_eq!(
        snapshot.text(),
        "cannot write -300 to /proc/self/oom_score_adj: Permission denied (os error 13)"
    );
}

#[test]
fn a_name_that_imitates_the_kernel_log_is_taken_as_it_is() {
    let actor = Actor::waiting(BALLOON, &["--total", "1M", "--comm", "x,pid=1,uid=0 ("]);
    assert_eq!(actor.proc("comm"), "x,pid=1,uid=0 (");
}

#[test]
fn an_actor_that_is_not_released_gives_up() {
    let mut actor = Actor::waiting(BALLOON, &["--total", "1M", "--wait-timeout", "0.2"]);
    assert_eq!(actor.ended().code(), Some(5));
    let snapshot = actor.page.snapshot();
    assert_eq!((snapshot.phase(), snapshot.touched), (Some(Phase::Failed), 0));
    assert!(snapshot.text().contains("not released within 0.2 s"), "{}", snapshot.text());
}

#[test]
fn an_actor_whose_parent_dies_during_the_wait_ends() {
    set_child_subreaper(true).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let status = dir.path().join("status");
    let page = Page::create(&status).unwrap();
    let mut parent = Command::new("sh")
        .args(["-c", "\"$0\" --status \"$1\" --wait --oom-score-adj 0 sleeper & wait"])
        .args([BYSTANDER.as_ref(), status.as_os_str()])
        .spawn()
        .unwrap();
    let pid = until("it waits", || {
        let snapshot = page.snapshot();
        (snapshot.phase() == Some(Phase::Waiting)).then_some(Pid::from_raw(snapshot.pid.try_into().unwrap()))
    });
    parent.kill().unwrap();
    parent.wait().unwrap();
    let status = until("the orphan ends", || {
        waitpid(pid, Some(WaitPidFlag::WNOHANG)).ok().filter(|status| *status != WaitStatus::StillAlive)
    });
    assert_eq!(status, WaitStatus::Exited(pid, 4));
    assert!(page.snapshot().text().contains("the parent process"), "{}", page.snapshot().text());
}

#[test]
fn an_actor_whose_parent_died_before_it_could_wait_ends() {
    let args = ["--wait", "--oom-score-adj", "0", "--parent", "1", "--total", "1M"];
    let mut actor = Actor::start(BALLOON, &args);
    assert_eq!(actor.ended().code(), Some(4));
}

#[test]
fn the_page_survives_a_sigkill() {
    let mut actor = Actor::start(BALLOON, &["--total", "32M"]);
    actor.until_holding();
    let status = actor.kill();
    assert_eq!(status.signal(), Some(9));
    let snapshot = read(&actor.status).unwrap();
    assert_eq!((snapshot.phase(), snapshot.touched), (Some(Phase::Holding), 32 << 20));
}

#[test]
fn a_page_serves_one_actor_only() {
    let mut actor = Actor::start(BALLOON, &["--total", "1M", "--hold", "0"]);
    assert!(actor.ended().success());
    let again =
        Command::new(BALLOON).arg("--status").arg(&actor.status).args(["--total", "1M"]).output().unwrap();
    assert_eq!(again.status.code(), Some(3));
    let words = String::from_utf8(again.stderr).unwrap();
    assert!(words.contains(&format!("belongs to process {}", actor.pid())), "{words}");
    assert_eq!(actor.page.snapshot().phase(), Some(Phase::Done));
}

#[test]
fn a_page_that_is_missing_is_an_error_when_somebody_else_should_have_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let done = Command::new(BALLOON)
        .arg("--status")
        .arg(&missing)
        .args(["--total", "1M", "--wait", "--oom-score-adj", "0"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&done.stderr).contains("cannot open the status page"));
}

#[test]
fn a_starters_blocked_signals_do_not_save_an_actor_from_sigterm() {
    let blocked = SigSet::from_iter([Signal::SIGTERM]);
    blocked.thread_block().unwrap();
    let mut actor = Actor::waiting(BALLOON, &["--total", "1M"]);
    blocked.thread_unblock().unwrap();
    kill(Pid::from_raw(actor.pid().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(actor.ended().signal(), Some(15));
}

/// Ignored signals as `/proc/PID/status` has them (proc_pid_status(5)): bit N-1 is signal N. Without the real-time ones,
/// of which the C library keeps some for itself and leaves them ignored in what it spawns.
fn ignored(actor: &Actor) -> u64 {
    let status = actor.proc("status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & ((1 << 31) - 1)
}

#[rstest]
#[case(BALLOON, &["--total", "1M"])]
#[case(BYSTANDER, &["heartbeat"])]
fn what_a_starter_ignores_ends_an_actor_all_the_same(#[case] program: &str, #[case] args: &[&str]) {
    let mut actor = Actor::waiting_below("HUP INT QUIT USR1 TERM CHLD", program, args);
    // Nothing but what the runtime of Rust ignores by itself, in every program.
    assert_eq!(ignored(&actor), 1 << (Signal::SIGPIPE as u32 - 1));
    kill(Pid::from_raw(actor.pid().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(actor.ended().signal(), Some(2));
}
