//! The OOM killers in user space, as values: what each is called, how it is heard, how it kills, and what its words mean.
//!
//! Whoever starts, follows or judges them goes through [`ALL`]: a new one is a file of its own and a line there.

use reports::outcome::Killer;

use crate::notation::signal::Signal;

pub mod earlyoom;
pub mod oomd;

/// Every killer that is known.
pub const ALL: [&Daemon; 2] = [&oomd::DAEMON, &earlyoom::DAEMON];

/// An OOM killer in user space.
#[derive(Debug)]
pub struct Daemon {
    /// What scenarios, records and reports call it.
    pub killer: Killer,
    /// What reports call its testimony.
    pub witness: &'static str,
    /// The unit of the machine's own.
    pub unit: &'static str,
    /// How it logs.
    pub voice: Voice,
    /// Whom it kills at once.
    pub victims: Victims,
    /// The signals that it sends.
    pub signals: &'static [Signal],
    /// What a line of its log means; none for a line that is no evidence.
    pub says: fn(&str) -> Option<Says<'_>>,
}

/// How a daemon logs, which decides what mutes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// systemd's own logging, whose level and target can be changed while it runs. A kill is a notice.
    Systemd,
    /// Lines on its standard output and error, which journald stores as informational.
    Streams,
}

/// Whom a killer takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victims {
    /// One process.
    Process,
    /// Every process of a cgroup and below it, which it marks (xattr `user.oomd_ooms`): the manager reads that mark and
    /// says `Result=oom-kill` of the unit.
    MarkedCgroup,
}

/// What a line of a killer's log means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says<'a> {
    /// This one kills nobody: it only says whom it would.
    RunsDry,
    /// It sends a signal to a process.
    Signals {
        /// The signal.
        signal: Signal,
        /// Process id.
        pid: u32,
        /// The name as the kernel has it, at most 15 bytes.
        comm: &'a str,
    },
    /// The process that it chose last gets this signal, too.
    Escalates {
        /// The signal.
        signal: Signal,
    },
    /// It killed everybody in a cgroup and below.
    Killed {
        /// The cgroup, from the root.
        cgroup: &'a str,
    },
}

/// The daemon behind a killer; none where the kernel, a signal or nobody is.
#[must_use]
pub fn daemon(of: Killer) -> Option<&'static Daemon> {
    ALL.into_iter().find(|daemon| daemon.killer == of)
}

/// Whether this is the kernel's own OOM killer.
#[must_use]
pub fn is_kernel(killer: Killer) -> bool {
    matches!(killer, Killer::Memcg | Killer::Global)
}

/// Whether it kills because memory is short.
#[must_use]
pub fn is_oom(killer: Killer) -> bool {
    is_kernel(killer) || daemon(killer).is_some()
}

/// Whether it kills for memory, and one process at a time.
#[must_use]
pub fn takes_one(killer: Killer) -> bool {
    is_kernel(killer) || daemon(killer).is_some_and(|daemon| daemon.victims == Victims::Process)
}

/// Whether systemd says `Result=oom-kill` of a unit in which it killed.
#[must_use]
pub fn is_oom_result(killer: Killer) -> bool {
    is_kernel(killer) || daemon(killer).is_some_and(|daemon| daemon.victims == Victims::MarkedCgroup)
}

/// The signals with which a process may be ended by it.
#[must_use]
pub fn signals(of: Killer) -> &'static [Signal] {
    match of {
        Killer::Memcg | Killer::Global => &[Signal::Kill],
        Killer::Signal => &Signal::ALL,
        other => daemon(other).map_or(&[], |daemon| daemon.signals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_killer_is_the_kernel_a_signal_nobody_or_a_daemon_with_a_file_here() {
        let others = [Killer::Memcg, Killer::Global, Killer::Signal, Killer::Exit, Killer::Unknown];
        let daemons = Killer::ALL.into_iter().filter(|killer| !others.contains(killer));
        assert_eq!(daemons.collect::<Vec<_>>(), ALL.map(|daemon| daemon.killer));
    }
}
