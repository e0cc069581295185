//! What was read in a guest with a policy → how each control came out, and what is wrong with it.
//!
//! declared (file and line) → loaded (systemd) → effective (the lowest on the way to the root) → kernel (the cgroup's file). Nothing
//! is opened here: the reading is a value, made in the guest by `inspect`.

mod control;
pub mod finding;
pub mod row;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cgroupfs::CgroupPath;
use crate::policy::Tree;
use crate::unit_file::{Files, Node};

pub use control::{Control, controls};
pub use finding::{Finding, Kind, findings};
pub use row::{Row, effective, rows};

/// What is to be looked at in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// To be entered and read.
    pub trees: Vec<Tree>,
    /// Units for `systemd-analyze verify`.
    pub verify: Vec<String>,
}

/// A guest with a policy, as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The number of its systemd.
    pub systemd: u32,
    /// Its memory in bytes, of which systemd takes shares.
    pub memory: u64,
    /// What lies in the directories of units of PID 1.
    pub files: BTreeMap<String, Found>,
    /// Units that had failed when it was up, each with its result.
    pub failed: BTreeMap<String, String>,
    /// The lines that `systemd-analyze verify` wrote.
    pub complaints: Vec<String>,
    /// By the name of the tree.
    pub trees: BTreeMap<String, TreeRead>,
}

/// A file or a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// What is in it.
    Text(String),
    /// Where it leads, as written in it.
    Link(String),
}

/// A tree that was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeRead {
    /// Its cgroup, where systemd or its name tells it.
    pub cgroup: Option<CgroupPath>,
    /// Where the way in leads, or why there is none.
    pub entered: Result<CgroupPath, String>,
    /// Its unit and the units around it, innermost first.
    pub before: Vec<UnitRead>,
    /// The same after `systemctl daemon-reload`.
    pub after: Vec<UnitRead>,
}

/// A unit on the way from a tree to the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRead {
    /// `user-1001.slice`.
    pub name: String,
    /// The unit file that systemd has loaded.
    pub fragment: Option<String>,
    /// The drop-ins that systemd has loaded.
    pub dropins: Vec<String>,
    /// Whether systemd has noticed that its files changed since it read them.
    pub needs_reload: bool,
    /// By property; `infinity` for no limit, and for what is not set.
    pub loaded: BTreeMap<String, String>,
    /// By file of the cgroup, as it stands there. Empty where there is no such cgroup.
    pub kernel: BTreeMap<String, String>,
}

impl Reading {
    /// The unit files, as `unit_file` takes them.
    #[must_use]
    pub fn unit_files(&self) -> Files {
        let mut files = Files::default();
        for (path, found) in &self.files {
            let node = match found {
                Found::Text(text) => Node::File(text.as_bytes().into()),
                Found::Link(target) => Node::Link(target.clone()),
            };
            files.insert(path, node);
        }
        files
    }
}
