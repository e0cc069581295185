//! The cgroup v2 mount.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::text::read;
use crate::cgroupfs;

/// How cgroup v2 is mounted where systemd mounts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cgroup2 {
    /// Mount options, such as `nsdelegate` and `memory_recursiveprot`.
    pub options: Vec<String>,
    /// Controllers of the root; one that is bound to cgroup v1 is missing. `None` when the list cannot be read.
    pub controllers: Option<Vec<String>>,
}

/// Which cgroup hierarchies are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hierarchy {
    /// cgroup v2 where systemd mounts it.
    Unified,
    /// cgroup v1 for the controllers, and cgroup v2 elsewhere.
    Hybrid,
    /// cgroup v1 alone.
    Legacy,
    /// None at all.
    Absent,
}

impl Cgroup2 {
    /// Whether the memory controller is in this hierarchy.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.controllers.iter().flatten().any(|controller| controller == "memory")
    }

    /// Whether `memory.events` counts only the cgroup itself, which takes away the parent's account of a kill.
    #[must_use]
    pub fn events_are_local(&self) -> bool {
        self.options.iter().any(|option| option == "memory_localevents")
    }
}

/// Tells the hierarchies by the mounts; `None` when those cannot be read.
pub(super) fn hierarchy(root: &Path) -> Option<Hierarchy> {
    let mounts = read(root, "proc/self/mounts")?;
    let mounted = |kind: &str, target: Option<&str>| {
        mounts.lines().any(|line| {
            let mut fields = line.split(' ').skip(1);
            let (at, of) = (fields.next(), fields.next());
            of == Some(kind) && target.is_none_or(|target| at == Some(target))
        })
    };
    Some(if mounted("cgroup2", Some(cgroupfs::ROOT)) {
        Hierarchy::Unified
    } else if mounted("cgroup2", None) {
        Hierarchy::Hybrid
    } else if mounted("cgroup", None) {
        Hierarchy::Legacy
    } else {
        Hierarchy::Absent
    })
}

/// Finds the mount at [`cgroupfs::ROOT`]; a hybrid machine has cgroup v2 elsewhere, without the memory controller.
pub(super) fn find(root: &Path) -> Option<Cgroup2> {
    let mounts = read(root, "proc/self/mounts")?;
    let options = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, target, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        (target == cgroupfs::ROOT && kind == "cgroup2").then_some(options)
    })?;
    let controllers = read(root, &format!("{}/cgroup.controllers", cgroupfs::ROOT.trim_start_matches('/')));
    Some(Cgroup2 {
        options: options.split(',').map(str::to_owned).collect(),
        controllers: controllers.map(|text| text.split_ascii_whitespace().map(str::to_owned).collect()),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn local_events_and_a_missing_memory_controller_are_seen() {
        let mount = Cgroup2 {
            options: vec!["rw".into(), "memory_localevents".into()],
            controllers: Some(vec!["cpu".into()]),
        };
        assert!(mount.events_are_local() && !mount.has_memory());
    }

    #[rstest]
    #[case::unified("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", Hierarchy::Unified)]
    #[case::hybrid(
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
         cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
        Hierarchy::Hybrid
    )]
    #[case::legacy("cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n", Hierarchy::Legacy)]
    #[case::none_at_all("proc /proc proc rw 0 0\n", Hierarchy::Absent)]
    fn the_hierarchies_are_told_by_the_mounts(#[case] mounts: &str, #[case] expected: Hierarchy) {
        let root = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(hierarchy(root.path()), None);
        std::fs::create_dir_all(root.path().join("proc/self")).expect("mkdir");
        std::fs::write(root.path().join("proc/self/mounts"), mounts).expect("write");
        assert_eq!(hierarchy(root.path()), Some(expected));
        assert_eq!(find(root.path()).is_some(), expected == Hierarchy::Unified);
    }
}
