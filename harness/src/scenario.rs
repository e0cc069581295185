//! A scenario file → [`Scenario`]: one claim about containment, typed and internally consistent.
//!
//! Reading is strict and reports everything it finds with its place in the file. It asks nothing of a machine: whether
//! units exist, what a percentage of memory is in bytes, where cgroups hang, all that is decided by the plan.

use std::path::Path;

use reports::outcome::Killer;

pub mod actor;
pub mod cgroup;
pub mod expectation;
pub mod killer;
pub mod protect;
pub mod requires;
pub mod safety;
pub mod size;
pub mod twin;

mod check;
pub(crate) mod file;
mod load;
mod references;
mod role;
mod rules;
mod schema;

use crate::notation::{Bytes, Id, Limit, Span};
use crate::property::PropertyName;
use crate::reading::diagnostic::{Invalid, Source};

pub use actor::{Actor, Role};
pub use cgroup::{Cgroup, Parent, Place};
pub use check::check;
pub use expectation::{Claim, Expectation, Reached};
pub use killer::OwnKiller;
pub use load::{LoadError, find, load_all};
pub use protect::Protect;
pub use requires::Requires;
pub use role::TreeRole;
pub use rules::rules;
pub use safety::Safety;
pub use schema::schema;
pub use size::{LimitRef, SizeExpr};
pub use twin::Twin;

/// The version of the file format that this program reads.
pub const SCHEMA: u32 = 1;

/// How long the stress is watched when the file does not say.
pub const DEFAULT_OBSERVE: Span = Span::seconds(30);

/// How long bystanders run alone when the file does not say.
pub const DEFAULT_BASELINE: Span = Span::seconds(1);

/// One scenario, or one of its twins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The file's name without `.toml`.
    pub id: Id,
    /// The twin this is, if it is one.
    pub variant: Option<Id>,
    /// The file: its name in messages, its text, and where in it each value stands.
    pub file: Source,
    /// The version of the file format.
    pub schema: u32,
    /// The claim in one sentence.
    pub title: String,
    /// Where the claim comes from: an incident, a document.
    pub source: String,
    /// Words to select by; `core` belongs to the standard suite.
    pub tags: Vec<Id>,
    /// How dangerous it is.
    pub safety: Safety,
    /// After this time PID 1 ends every unit of the run, whatever became of the harness.
    pub deadline: Span,
    /// How long the stress is watched at most after the balloons are released.
    pub observe: Span,
    /// The least time for which the stress must be held, from the moment it is reached, for the claims to count.
    pub hold: Span,
    /// When the stress has been held for so long, the run ends although balloons live.
    pub enough: Option<Span>,
    /// How long bystanders run alone before.
    pub baseline: Span,
    /// What the machine must have.
    pub requires: Requires,
    /// The cgroups to make, in file order.
    pub cgroups: Vec<Cgroup>,
    /// The processes to start, in file order.
    pub actors: Vec<Actor>,
    /// The OOM killers to run, at most one of a kind.
    pub killers: Vec<OwnKiller>,
    /// What must stay well.
    pub protect: Protect,
    /// How it is known that the stress arrived.
    pub reached: Reached,
    /// The claims, in file order; in a twin, its own at the end.
    pub expects: Vec<Expectation>,
    /// The ways to break it on purpose; empty in a twin.
    pub twins: Vec<Twin>,
    /// The memory limits as the file declares them. Relative sizes resolve against these, also in a twin.
    pub base_limits: Vec<BaseLimit>,
}

/// A memory limit as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseLimit {
    /// Which limit.
    pub name: LimitRef,
    /// Its value before any twin.
    pub limit: Limit,
}

/// A twin was asked for that the scenario does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scenario `{scenario}` has no twin `{twin}`{}", known_twins(.known))]
pub struct UnknownTwin {
    /// The scenario.
    pub scenario: Id,
    /// What was asked for.
    pub twin: String,
    /// The twins it has.
    pub known: Vec<Id>,
}

fn known_twins(known: &[Id]) -> String {
    let names: Vec<_> = known.iter().map(|id| &**id).collect();
    if names.is_empty() { "; it has none".to_owned() } else { format!("; it has {}", names.join(", ")) }
}

impl Scenario {
    /// Reads and checks the scenario file at `path`; its id is the file's name.
    ///
    /// # Errors
    /// When the file cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        load::load(path)
    }

    /// Reads `text` as the scenario file `path`, which is named in messages and gives the id, and is not opened.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in file order.
    pub fn parse(path: &str, text: &str) -> Result<Self, Invalid> {
        file::parse(path, text)
    }

    /// The scenario with a twin's changes applied. Relative sizes still resolve against the limits as written.
    ///
    /// # Errors
    /// When there is no such twin.
    pub fn twin(&self, id: &str) -> Result<Self, UnknownTwin> {
        let Some(twin) = self.twins.iter().find(|twin| twin.id == *id) else {
            let known = self.twins.iter().map(|twin| twin.id.clone()).collect();
            return Err(UnknownTwin { scenario: self.id.clone(), twin: id.to_owned(), known });
        };
        let mut changed = Self { variant: Some(twin.id.clone()), twins: Vec::new(), ..self.clone() };
        for change in &twin.properties {
            for cgroup in changed.cgroups.iter_mut().filter(|cgroup| cgroup.id == change.cgroup) {
                cgroup.set(change.property.clone());
            }
        }
        for actor in &mut changed.actors {
            if let Some(replacement) = twin.changed.iter().find(|replacement| replacement.id == actor.id) {
                *actor = replacement.clone();
            }
        }
        changed.actors.retain(|actor| !twin.drop.contains(&actor.id));
        changed.actors.extend(twin.added.iter().cloned());
        for own in &mut changed.killers {
            if let Some(replacement) = twin.killers.iter().find(|other| other.killer == own.killer) {
                *own = replacement.clone();
            }
        }
        changed.killers.retain(|own| !twin.drop.iter().any(|id| *id == *own.killer.word()));
        changed.expects.extend(twin.expects.iter().cloned());
        changed.observe = twin.observe.unwrap_or(self.observe);
        changed.hold = twin.hold.unwrap_or(self.hold);
        changed.enough = twin.enough.or(self.enough);
        changed.requires = self.requires.merged(&twin.requires);
        Ok(changed)
    }

    /// The killer of that kind that the run starts, if any.
    #[must_use]
    pub fn own_killer(&self, killer: Killer) -> Option<&OwnKiller> {
        self.killers.iter().find(|own| own.killer == killer)
    }

    /// `ID`, or `ID/TWIN` for a twin.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.variant {
            Some(twin) => format!("{}/{twin}", self.id),
            None => self.id.to_string(),
        }
    }

    /// The declared cgroup of that name.
    #[must_use]
    pub fn cgroup(&self, id: &str) -> Option<&Cgroup> {
        self.cgroups.iter().find(|cgroup| cgroup.id == *id)
    }

    /// The actor of that name.
    #[must_use]
    pub fn actor(&self, id: &str) -> Option<&Actor> {
        self.actors.iter().find(|actor| actor.id == *id)
    }

    /// The limit that is in force in this scenario or twin: `limit("work", "MemoryMax")`. `None` when the cgroup or the
    /// property is not declared.
    #[must_use]
    pub fn limit(&self, cgroup: &str, property: &str) -> Option<Limit> {
        self.cgroup(cgroup)?.limit(PropertyName::from_text(property)?)
    }

    /// The limit as the file declares it, before any twin.
    #[must_use]
    pub fn base_limit(&self, name: &LimitRef) -> Option<Limit> {
        self.base_limits.iter().find(|base| base.name == *name).map(|base| base.limit)
    }

    /// The bytes of a size on a machine with `memory` of physical memory; `None` for a share of no limit.
    #[must_use]
    pub fn resolve(&self, size: &SizeExpr, memory: Bytes) -> Option<Bytes> {
        match size {
            SizeExpr::Bytes(bytes) => Some(*bytes),
            SizeExpr::Machine(share) => Some(share.of_bytes(memory)),
            SizeExpr::Limit(share) => {
                self.base_limit(&share.of)?.resolve(memory).map(|limit| share.percent.of_bytes(limit))
            }
        }
    }

    /// Every id that an expectation of this scenario can have, the built-in ones that apply included.
    #[must_use]
    pub fn expectation_ids(&self) -> Vec<String> {
        let mut ids = vec!["reached".to_owned()];
        if !self.protect.units.is_empty() {
            ids.push("protected-unchanged".to_owned());
        }
        if !self.protect.answer.is_empty() {
            ids.push("protected-answers".to_owned());
        }
        ids.extend(self.expects.iter().map(|expect| expect.id.to_string()));
        ids
    }
}

#[cfg(test)]
mod tests;
