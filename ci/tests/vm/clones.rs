//! What a clone has of its own, and when it ends.

use std::fs;
use std::process::{Command as HostCommand, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ci::CloneOptions;

use crate::{GUEST, clone, lab, say, tar_of};

#[test]
fn files_given_to_a_clone_are_there_before_the_first_command() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = CloneOptions::new("files");
    options.files = Some(tar_of(directory.path(), &[("opt/demo/file", "given")]));
    let vm = lab(GUEST).spawn(&options).unwrap();
    assert_eq!(say(&vm, "cat /opt/demo/file"), "given");
    assert_eq!(say(&clone(GUEST, "no-files"), "ls /opt"), "");
}

#[test]
fn two_clones_do_not_see_each_other() {
    let (one, two) = thread::scope(|scope| {
        let one = scope.spawn(|| clone(GUEST, "one"));
        let two = scope.spawn(|| clone(GUEST, "two"));
        (one.join().unwrap(), two.join().unwrap())
    });
    // On disk, in memory, and on swap.
    say(
        &one,
        "echo mine >/root/file; echo mine >/run/file; printf mine | dd of=/dev/vdc bs=1 seek=8192 conv=notrunc status=none; sync",
    );
    let look = "cat /root/file /run/file 2>/dev/null; dd if=/dev/vdc bs=1 skip=8192 count=4 status=none | tr '\\0' 0";
    assert_eq!(say(&two, look), "0000");
    assert_eq!(say(&one, look), "mine\nmine\nmine");
}

#[test]
fn a_clone_knows_what_time_it_is() {
    let vm = clone(GUEST, "clock");
    let there: i64 = say(&vm, "date +%s").parse().unwrap();
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    assert!((here - there).abs() <= 5, "{here} here, {there} there");
}

#[test]
fn swap_can_be_made_slow() {
    let vm = clone(GUEST, "throttle");
    let write = || {
        let start = Instant::now();
        say(&vm, "dd if=/dev/zero of=/dev/vdc bs=1M count=8 oflag=direct status=none");
        start.elapsed()
    };
    vm.throttle_swap(4 << 20).unwrap();
    let slow = write();
    vm.throttle_swap(0).unwrap();
    let fast = write();
    assert!(slow > Duration::from_millis(1500), "{slow:?}");
    assert!(fast < slow, "{fast:?}, {slow:?} with a limit");
}

#[test]
fn a_machine_ends_with_the_process_that_started_it() {
    let mut holder = HostCommand::new(std::env::current_exe().unwrap())
        .args(["--exact", "clones::holder", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let words = std::io::BufReader::new(holder.stdout.take().unwrap());
    let pid: i32 = std::io::BufRead::lines(words)
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("qemu is ")?.parse().ok())
        .unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let start = Instant::now();
    let is_qemu =
        || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with("qemu"));
    while is_qemu() {
        assert!(start.elapsed() < Duration::from_secs(10), "QEMU {pid} has outlived its owner");
        thread::yield_now();
    }
}

#[test]
#[ignore = "holds a machine until it is killed; started by the test above"]
fn holder() {
    let vm = clone(GUEST, "held");
    println!("\nqemu is {}", vm.qemu_pid());
    thread::park_timeout(Duration::from_secs(60));
}
