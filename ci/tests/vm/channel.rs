//! Commands in the guest and files out of it.

use std::fs;
use std::path::Path;
use std::process::Command as HostCommand;
use std::time::Duration;

use ci::{Command, Exit, Stream, VmError};
use nix::sys::signal::Signal;

use crate::{GUEST, clone, say};

#[test]
fn an_exit_code_is_told_from_a_signal() {
    let vm = clone(GUEST, "exits");
    let exit = |script: &str| vm.output(&Command::sh(script)).unwrap().0;
    assert_eq!(exit("exit 0"), Exit::Code(0));
    assert_eq!(exit("exit 137"), Exit::Code(137));
    assert_eq!(exit("kill -9 $$"), Exit::Signal(9));
    assert_eq!(exit("kill -15 $$"), Exit::Signal(15));
    let error = vm.output(&Command::new("/no/such/program")).unwrap_err();
    assert!(matches!(&error, VmError::Agent { why } if why.contains("/no/such/program")), "{error}");
}

#[test]
fn a_command_starts_without_what_protects_or_surrounds_the_agent() {
    let vm = clone(GUEST, "inherits");
    assert_eq!(say(&vm, "cat /proc/self/oom_score_adj"), "0");
    assert_eq!(say(&vm, "cat /proc/self/cgroup"), "0::/system.slice/bulkhead-agent.service/exec");
    assert_eq!(say(&vm, "grep VmLck /proc/self/status | tr -d '\\t '"), "VmLck:0kB");
    assert_eq!(say(&vm, "env | grep -v -e ^PWD -e ^_ | sort"), {
        "HOME=/root\nLANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    });
    let command = Command::sh("echo $A in $PWD").env("A", "a b").cwd("/usr");
    assert_eq!(vm.output(&command).unwrap().1, "a b in /usr\n");
    let (pid, agent) = (say(&vm, "ps -o sid= -p $$"), say(&vm, "cat /proc/$(pidof agent)/oom_score_adj"));
    assert_ne!(pid, "");
    assert_eq!(agent, "-1000");
}

#[test]
fn commands_run_side_by_side_and_their_outputs_stay_apart() {
    let vm = clone(GUEST, "side-by-side");
    let mut first =
        vm.start(&Command::sh("echo out; echo err >&2; while ! [ -e /tmp/go ]; do sleep 0.1; done")).unwrap();
    assert_eq!(first.try_wait().unwrap(), None);
    // It would wait for ever if the second could not run while it does.
    let (exit, _) = vm.output(&Command::sh("head -c 1000000 /dev/zero; touch /tmp/go")).unwrap();
    assert_eq!(exit, Exit::Code(0));
    let (mut out, mut err) = (String::new(), String::new());
    let exit = first.wait(&mut |stream, bytes| match stream {
        Stream::Stdout => out.push_str(&String::from_utf8_lossy(bytes)),
        Stream::Stderr => err.push_str(&String::from_utf8_lossy(bytes)),
    });
    assert_eq!((exit.unwrap(), out.as_str(), err.as_str()), (Exit::Code(0), "out\n", "err\n"));
}

#[test]
fn a_signal_reaches_the_whole_process_group() {
    let vm = clone(GUEST, "signals");
    let mut running = vm.start(&Command::sh("sleep 1000 & wait")).unwrap();
    assert_eq!(say(&vm, &format!("test -d /proc/{} && echo there", running.pid())), "there");
    running.kill(Signal::SIGTERM).unwrap();
    assert_eq!(running.wait(&mut |_, _| {}).unwrap(), Exit::Signal(15));
    assert_eq!(say(&vm, "pgrep -x sleep | wc -l"), "0");
    assert!(running.kill(Signal::SIGTERM).is_err());
}

#[test]
fn a_command_that_takes_too_long_is_killed_and_said_to() {
    let vm = clone(GUEST, "timeout");
    let command = Command::new("sleep").arg("1000").timeout(Duration::from_millis(300));
    let error = vm.output(&command).unwrap_err();
    assert_eq!(error.to_string(), "`sleep 1000` took longer than 300ms");
    let gone =
        "for i in $(seq 100); do pgrep -x sleep >/dev/null || break; sleep 0.1; done; pgrep -x sleep | wc -l";
    assert_eq!(say(&vm, gone), "0");
}

#[test]
fn the_plain_files_of_a_directory_come_back_as_they_are_and_a_file_too() {
    let vm = clone(GUEST, "fetch");
    say(
        &vm,
        "mkdir -p /tmp/d/sub && cd /tmp/d && head -c 5000000 /dev/urandom >big && : >empty && echo x >sub/small && chmod 640 sub/small && ln -s sub/small link",
    );
    let into = tempfile::tempdir().unwrap();
    let directory = into.path().join("d");
    vm.fetch(Path::new("/tmp/d"), &directory).unwrap();
    assert_eq!(fs::read_to_string(directory.join("sub/small")).unwrap(), "x\n");
    assert!(directory.join("link").symlink_metadata().is_err(), "a guest places no links here");
    assert_eq!(fs::read(directory.join("empty")).unwrap(), b"");
    let sum = HostCommand::new("sha256sum").arg(directory.join("big")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(sum.split(' ').next().unwrap(), say(&vm, "sha256sum </tmp/d/big | cut -d' ' -f1"));

    let file = into.path().join("file");
    vm.fetch(Path::new("/tmp/d/big"), &file).unwrap();
    assert_eq!(fs::read(file).unwrap(), fs::read(directory.join("big")).unwrap());

    let error = vm.fetch(Path::new("/tmp/none"), &into.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("/tmp/none"), "{error}");
    assert!(!into.path().join("none").exists());
}
