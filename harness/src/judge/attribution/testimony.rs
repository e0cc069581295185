//! What a witness says of an end, and what it is asked about.

use reports::outcome::Killer;

use crate::judge::death::Death;
use crate::killer::is_kernel;
use crate::plan::PlannedActor;
use crate::record::event::ActorEnd;

/// What one witness says.
pub(super) struct Testimony {
    pub(super) name: &'static str,
    pub(super) says: String,
    /// The killers it is compatible with; none = it has nothing to say.
    pub(super) allows: Option<Vec<Killer>>,
    /// Whether it speaks of this very process, and not of whoever died in the same cgroup.
    pub(super) knows: bool,
    /// The cgroup path whose limit was hit, if it names one.
    pub(super) limit: Option<String>,
    /// A killer that it rules out by having nothing to say.
    pub(super) rules_out: Option<Killer>,
}

impl Testimony {
    pub(super) fn missing(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, says: says.into(), allows: None, knows: false, limit: None, rules_out: None }
    }

    /// Of a cgroup that others may live in, too.
    pub(super) fn allows(
        name: &'static str,
        says: impl Into<String>,
        allows: impl Into<Vec<Killer>>,
    ) -> Self {
        Self { allows: Some(allows.into()), ..Self::missing(name, says) }
    }

    /// Of this process and no other.
    pub(super) fn knows(name: &'static str, says: impl Into<String>, allows: impl Into<Vec<Killer>>) -> Self {
        Self { knows: true, ..Self::allows(name, says, allows) }
    }
}

/// An actor's end, as the witnesses are asked about it.
pub(super) struct Ended<'a> {
    pub(super) actor: &'a PlannedActor,
    pub(super) pid: u32,
    /// When it was seen, µs.
    pub(super) at_us: u64,
    pub(super) end: ActorEnd,
    /// What the kernel logged of it.
    pub(super) death: Option<Death<'a>>,
}

/// Everybody but the kernel's own OOM killer.
pub(super) fn not_the_kernel() -> Vec<Killer> {
    killers(|killer| !is_kernel(killer))
}

/// Everybody who can end a process, as far as `is` says so.
pub(super) fn killers(is: impl Fn(Killer) -> bool) -> Vec<Killer> {
    Killer::ALL.into_iter().filter(|killer| *killer != Killer::Unknown && is(*killer)).collect()
}
