//! A machine that is gone → what became of it, told from QEMU's exit, its last event and the console.

use std::path::PathBuf;
use std::time::Duration;

use crate::agent::Closed;
use crate::qmp::QmpError;

use super::Machine;

/// Lines of console that go with a failure: a kernel's dump and what led to it.
const CONSOLE_LINES: usize = 60;
/// QEMU was seen to be gone 0.04 s after a panic.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a machine did not do what was asked.
///
/// A panic, a hang or a guest that switches itself off can be the doing of what runs in it; the rest is trouble of the
/// VM and says nothing about a scenario.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VmError {
    /// The guest's kernel panicked.
    #[error("the guest's kernel panicked:\n{console}")]
    Panic {
        /// The end of its console.
        console: String,
    },
    /// The guest switched itself off.
    #[error("the guest powered itself off")]
    PowerOff {
        /// The end of its console.
        console: String,
    },
    /// The guest restarted without a panic.
    #[error("the guest rebooted")]
    Reboot {
        /// The end of its console.
        console: String,
    },
    /// The agent did not answer in time; an NMI made the kernel tell what it was doing.
    #[error("the guest hung: its agent did not answer for {after:?}; the kernel's last words:\n{console}")]
    Hang {
        /// How long it was waited for.
        after: Duration,
        /// The end of its console, after the NMI.
        console: String,
    },
    /// QEMU itself ended.
    #[error("QEMU ended ({status}): {said}")]
    QemuDied {
        /// Its exit status.
        status: String,
        /// What it wrote.
        said: String,
        /// The end of the guest's console.
        console: String,
    },
    /// The agent refused, failed, or was started anew (and with it everything that it ran was lost).
    #[error("the agent in the guest: {why}")]
    Agent {
        /// In its words.
        why: String,
    },
    /// Something took longer than it may.
    #[error("`{what}` took longer than {after:?}")]
    Timeout {
        /// The command or request.
        what: String,
        /// How long it may take.
        after: Duration,
    },
    /// A fetched path did not arrive as it was sent.
    #[error("{path} arrived damaged: {why}", path = path.display())]
    Damaged {
        /// The path in the guest.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// A file on this side could not be written or read.
    #[error("cannot write {path}: {why}", path = path.display())]
    Host {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// QEMU's monitor refused or did not answer.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

impl VmError {
    /// The end of the guest's console, where it is part of the story.
    #[must_use]
    pub fn console(&self) -> Option<&str> {
        match self {
            Self::Panic { console }
            | Self::PowerOff { console }
            | Self::Reboot { console }
            | Self::Hang { console, .. }
            | Self::QemuDied { console, .. } => Some(console),
            Self::Agent { .. }
            | Self::Timeout { .. }
            | Self::Damaged { .. }
            | Self::Host { .. }
            | Self::Qmp(_) => None,
        }
    }
}

/// What became of a machine whose channel has closed.
pub(super) fn diagnose(machine: &Machine) -> VmError {
    match machine.agent.closed() {
        Some(Closed::Restarted) => {
            VmError::Agent { why: "it was restarted, and what it ran before is lost".into() }
        }
        Some(Closed::GivenUp) => VmError::Agent { why: "the VM has already been released".into() },
        Some(Closed::HungUp) | None => match machine.qemu.wait(PATIENCE) {
            Some(status) => {
                let reason = machine.qemu.monitor.shutdown_reason();
                classify(reason.as_deref(), &machine.qemu.console.text(), status, machine.qemu.said())
            }
            None => VmError::Agent { why: "its port has closed, but QEMU still runs".into() },
        },
    }
}

/// A panic (with `panic=-1`) and a restart look the same to QEMU, which with `-no-reboot` ends on both: only the
/// console tells them apart.
fn classify(reason: Option<&str>, console: &str, status: String, said: String) -> VmError {
    let panicked = console.contains("Kernel panic - not syncing");
    let console = last_lines(console);
    match reason {
        _ if panicked => VmError::Panic { console },
        Some("guest-shutdown") => VmError::PowerOff { console },
        Some("guest-reset") => VmError::Reboot { console },
        _ => VmError::QemuDied { status, said, console },
    }
}

/// A hung guest → its own account of where it hangs (`unknown_nmi_panic=1`), and the end of it.
pub(super) fn interrogate(machine: &Machine, after: Duration) -> VmError {
    let asked = machine.qemu.monitor.execute("inject-nmi", &serde_json::json!({}));
    if asked.is_ok() {
        machine.qemu.wait(PATIENCE);
    }
    let console = last_lines(&machine.qemu.console.text());
    machine.qemu.kill();
    VmError::Hang { after, console }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PANIC: &str = "sysrq: Trigger a crash\nKernel panic - not syncing: sysrq triggered crash\n";

    #[rstest]
    #[case(Some("guest-reset"), PANIC, "the guest's kernel panicked")]
    #[case(Some("guest-reset"), "reboot: Restarting system\n", "the guest rebooted")]
    #[case(Some("guest-shutdown"), "reboot: Power down\n", "the guest powered itself off")]
    #[case(None, "", "QEMU ended (signal: 9 (SIGKILL)): killed")]
    #[case(Some("host-signal"), "", "QEMU ended (signal: 9 (SIGKILL)): killed")]
    fn each_end_has_its_name(#[case] reason: Option<&str>, #[case] console: &str, #[case] story: &str) {
        let failure = classify(reason, console, "signal: 9 (SIGKILL)".into(), "killed".into());
        assert!(failure.to_string().starts_with(story), "{failure}");
        assert!(failure.console().is_some());
    }
}
