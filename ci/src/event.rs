//! What happens while a lab gets ready, for whoever shows progress. It carries facts and no wording.

use std::time::Duration;

use crate::Guest;
use crate::accel::Verdict;

/// One step of [`Lab::prepare`](crate::Lab::prepare).
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// Another process builds the same thing; this one waits for it.
    Waiting {
        /// What is built, as it is called in the cache.
        entry: &'a str,
    },
    /// The image is being built.
    ImageBuild {
        /// Of which guest.
        guest: Guest,
        /// "packages", "disk", "kernel" or "initrd".
        step: &'a str,
        /// What the builder says; empty when the step begins.
        line: &'a str,
    },
    /// Disk, kernel and initrd are there.
    ImageReady {
        /// Of which guest.
        guest: Guest,
        /// Whether they were there already.
        cached: bool,
        /// How long it took.
        took: Duration,
    },
    /// How guests run on this machine.
    Probe {
        /// The accelerator, and why.
        verdict: &'a Verdict,
        /// Whether it was known already.
        cached: bool,
    },
    /// QEMU starts.
    BootStart {
        /// With which guest.
        guest: Guest,
    },
    /// A line on the guest's console.
    Boot {
        /// Without its line end.
        line: &'a str,
    },
    /// The agent answers.
    BootEnd {
        /// Since QEMU was started.
        took: Duration,
    },
    /// systemd has finished booting and nothing has failed.
    Settled {
        /// Since QEMU was started.
        took: Duration,
    },
    /// The boot failed and is tried once more.
    BootRetry {
        /// What happened.
        why: &'a str,
    },
    /// Files and commands are put into a guest before it boots for good.
    InstallStart {
        /// Into which guest.
        guest: Guest,
        /// What is installed.
        name: &'a str,
    },
    /// What a command of the installation says.
    Install {
        /// Without its line end.
        line: &'a str,
    },
    /// Machines can be cloned.
    TemplateReady {
        /// Of which guest.
        guest: Guest,
        /// Whether the template was there already.
        cached: bool,
        /// How long it took, boot included.
        took: Duration,
    },
}

/// Where events go. It is called from the thread that prepares and from the one that reads the console.
pub type Listener<'a> = &'a (dyn Fn(Event<'_>) + Sync);
