//! `no-livelock = { … }`: a cgroup that hangs with nobody acting.

use serde::{Deserialize, Serialize};

use super::Claim;
use super::family::{Claimed, Family, Mention, Mentions};
use crate::notation::id::Id;
use crate::reading::{FromTable, Table, value};

pub(super) const FAMILY: Family = Family {
    name: "no-livelock",
    purpose: "a cgroup does not hang between high and max",
    read: |family, table| family.ask(table).map(Claim::NoLivelock),
    about: "The cgroup does not hang with nobody acting. It hangs when these signs hold together: usage stays \
        between MemoryHigh and MemoryMax, the hog's progress is below 5 % of what it was before, its \
        pressure is full for at least 80 % of the time, and oom_kill stays flat. Pressure alone is not \
        enough: it is also high where a lone hog is throttled and dies later.",
    example: "no-livelock = { cgroup = \"work\", hog = \"hog\" }",
};

/// A livelock: usage between high and max, progress of the hog below 5 % of its own before, `oom_kill` flat and
/// pressure full at least 80 %, all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Livelock {
    /// The cgroup that hangs.
    pub cgroup: Id,
    /// The actor whose progress is measured.
    pub hog: Id,
}

impl FromTable for Livelock {
    const LABEL: &'static str = "no-livelock";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let cgroup = table.required("cgroup", "the cgroup that must not hang");
        let hog = table.required("hog", "the actor whose progress is measured");
        Some(Self { cgroup: cgroup?, hog: hog? })
    }
}

value!(table Livelock);

impl Claimed for Livelock {
    fn mentions<'c>(&'c self, key: &'c str) -> Mentions<'c> {
        vec![
            (vec![key.into(), "cgroup".into()], Mention::Cgroup(&self.cgroup)),
            (vec![key.into(), "hog".into()], Mention::Actor(&self.hog)),
        ]
    }
}
