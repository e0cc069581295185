//! A guest that ends, and what it is called.

use std::time::Duration;

use ci::{CloneOptions, Command, VmError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::{GUEST, clone, lab};

#[derive(Debug, PartialEq, Eq)]
enum End {
    Panic,
    PowerOff,
    Reboot,
    QemuDied,
    Hang,
}

fn end_of(error: &VmError) -> Option<End> {
    match error {
        VmError::Panic { .. } => Some(End::Panic),
        VmError::PowerOff { .. } => Some(End::PowerOff),
        VmError::Reboot { .. } => Some(End::Reboot),
        VmError::QemuDied { .. } => Some(End::QemuDied),
        VmError::Hang { .. } => Some(End::Hang),
        _ => None,
    }
}

#[rstest]
#[case::panic("echo c >/proc/sysrq-trigger", End::Panic, "sysrq triggered crash")]
#[case::power_off("systemctl poweroff -ff", End::PowerOff, "")]
#[case::reboot("systemctl reboot -ff", End::Reboot, "")]
// An agent that is stopped answers as little as a kernel that is stuck, and the kernel can still be asked.
#[case::hang("kill -STOP $(pidof agent)", End::Hang, "Call Trace")]
fn an_end_is_reported_as_what_it_is(#[case] script: &str, #[case] end: End, #[case] on_console: &str) {
    let mut options = CloneOptions::new("end");
    options.pulse_deadline = Duration::from_secs(2);
    let vm = lab(GUEST).spawn(&options).unwrap();
    let error = vm.output(&Command::sh(format!("{script}; sleep 1000"))).unwrap_err();
    assert_eq!(end_of(&error), Some(end), "{error}");
    assert!(error.console().unwrap().contains(on_console), "{error}");
    // Whoever asks later hears the same.
    assert_eq!(vm.output(&Command::new("true")).unwrap_err().to_string(), error.to_string());
}

#[test]
fn a_qemu_that_is_killed_is_not_the_guests_doing() {
    let vm = clone(GUEST, "killed");
    let mut running = vm.start(&Command::new("sleep").arg("1000")).unwrap();
    kill(Pid::from_raw(vm.qemu_pid().cast_signed()), Signal::SIGKILL).unwrap();
    let error = running.wait(&mut |_, _| {}).unwrap_err();
    assert_eq!(end_of(&error), Some(End::QemuDied), "{error}");
    assert!(error.to_string().contains("SIGKILL"), "{error}");
}

#[test]
fn an_agent_that_is_started_anew_says_so_instead_of_losing_a_command() {
    let vm = clone(GUEST, "restart");
    let error = vm.output(&Command::sh("kill -9 $(pidof agent); sleep 1000")).unwrap_err();
    assert!(error.to_string().contains("it was restarted"), "{error}");
}
