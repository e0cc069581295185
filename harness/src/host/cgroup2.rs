//! The cgroup v2 mount.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read;
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
    use super::*;

    #[test]
    fn local_events_and_a_missing_memory_controller_are_seen() {
        let mount = Cgroup2 {
            options: vec!["rw".into(), "memory_localevents".into()],
            controllers: Some(vec!["cpu".into()]),
        };
        assert!(mount.events_are_local() && !mount.has_memory());
    }

    #[test]
    fn a_hybrid_machine_has_no_cgroup_2_where_it_is_needed() {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(root.path().join("proc/self")).expect("mkdir");
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        std::fs::write(root.path().join("proc/self/mounts"), mounts).expect("write");
        assert_eq!(find(root.path()), None);
    }
}
