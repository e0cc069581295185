//! What is refused before the first page.

use crate::actor::{BALLOON, BYSTANDER};
use assert_cmd::Command;
use balloon::status::{Page, Phase};
use predicates::str::contains;
use rstest::rstest;

fn refused(program: &str, args: &str, words: &str) {
    let dir = tempfile::tempdir().unwrap();
    let status = dir.path().join("status");
    let page = Page::create(&status).unwrap();
    Command::new(program)
        .arg("--status")
        .arg(&status)
        .args(args.split_whitespace())
        .assert()
        .code(2)
        .stderr(contains(words));
    let snapshot = page.snapshot();
    assert_eq!((snapshot.phase(), snapshot.touched, snapshot.pid), (Some(Phase::Starting), 0, 0));
}

#[rstest]
#[case("", "--total")]
#[case("--total 0", "--total is 0")]
#[case("--total 200T", "address space")]
#[case("--total 16777216T", "64 bits")]
#[case("--total twelve", "whole number of bytes")]
#[case("--total -1", "unexpected argument")]
#[case("--total 1M --step 0", "--step is 0")]
#[case("--total 1M --step 100", "not a multiple of the 4096 bytes")]
#[case("--total 4M --step 1M --huge-pages always", "not a multiple of the 2097152 bytes")]
#[case("--total 1M --profile grow", "needs a --rate")]
#[case("--total 1M --profile plateau --rate 1M", "reached at once")]
#[case("--total 1M --low 4K", "belong to --profile sawtooth")]
#[case("--total 1M --profile sawtooth --low 4K", "needs a --period")]
#[case("--total 1M --profile sawtooth --period 1 --low 2M", "not below the --total")]
#[case("--total 1M --profile sawtooth --period 1 --rate 4K", "too short")]
#[case("--total 1M --profile sawtooth --period 1 --mlock", "does not go with")]
#[case("--total 1M --hold -1", "unexpected argument")]
#[case("--total 1M --hold NaN", "at least 0")]
#[case("--total 1M --processes 0", "--processes is 0")]
#[case("--total 1M --processes 65", "1 to 64")]
#[case("--total 8K --processes 3", "too small")]
#[case("--total 1M --kind file", "needs a --file")]
#[case("--total 1M --file x", "belongs to --kind file")]
#[case("--total 1M --kind file --file /etc/passwd", "exists")]
#[case("--total 1M --kind file --file /dev/shm/balloon-on-tmpfs", "lies on tmpfs")]
#[case("--total 1M --text evictable", "needs a --text-copy")]
#[case("--total 1M --text-copy x", "belongs to --text evictable")]
#[case("--total 1M --text evictable --text-copy /dev/shm", "lies on tmpfs")]
#[case("--total 1M --comm sixteen-bytes-xy", "at most 15 bytes")]
#[case("--total 1M --wait", "--oom-score-adj")]
#[case("--total 1M --oom-score-adj -1001", "-1000..=1000")]
fn a_balloon_that_cannot_be_is_refused(#[case] args: &str, #[case] words: &str) {
    refused(BALLOON, args, words);
}

#[rstest]
#[case("", "Usage")]
#[case("juggler", "unrecognized subcommand")]
#[case("heartbeat --every 0", "--every is 0")]
#[case("heartbeat --touch 2G", "more than 1G")]
#[case("tcp-server --listen nowhere", "invalid value")]
#[case("spinner --threads 0", "not in 1..=1024")]
#[case("writer --file /nonexistent/x --bytes 0", "--bytes is 0")]
#[case("writer --file /etc/passwd --bytes 1", "exists")]
#[case("forker --children 65", "not in 1..=64")]
fn a_bystander_that_cannot_be_is_refused(#[case] args: &str, #[case] words: &str) {
    refused(BYSTANDER, args, words);
}

#[rstest]
fn help_and_version_are_there(
    #[values(BALLOON, BYSTANDER)] program: &str,
    #[values("--help", "--version")] flag: &str,
) {
    let name = program.rsplit('/').next().unwrap();
    Command::new(program).arg(flag).assert().success().stdout(contains(name));
}

#[test]
fn address_space_that_is_not_granted_is_a_failure_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let status = dir.path().join("status");
    Command::new("sh")
        .args(["-c", "ulimit -v 262144; exec \"$0\" --status \"$1\" --total 1G"])
        .args([BALLOON.as_ref(), status.as_os_str()])
        .assert()
        .code(3)
        .stderr(contains("cannot reserve 1073741824 bytes for the balloon"));
    let snapshot = balloon::status::read(&status).unwrap();
    assert_eq!((snapshot.phase(), snapshot.errno), (Some(Phase::Failed), 12));
    assert!(snapshot.text().contains("Cannot allocate memory"), "{}", snapshot.text());
}
