//! The file system that holds a directory: how large it is, and how much of it is free.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// All of it.
    pub total: u64,
    /// What is free for everybody: what is reserved for root counts as used.
    pub free: u64,
}

/// Asks the file system of `path`, or of its nearest parent that exists: the directory is made with the first run.
pub(super) fn holding(path: &Path) -> Option<Disk> {
    let there = path.ancestors().find(|path| path.exists())?;
    let found = nix::sys::statvfs::statvfs(there).ok()?;
    let bytes = |blocks: u64| blocks.checked_mul(found.fragment_size());
    Some(Disk { total: bytes(found.blocks())?, free: bytes(found.blocks_available())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_yet_is_held_by_its_nearest_parent() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let disk = holding(&dir.path().join("not/made/yet")).expect("a file system");
        assert!(disk.total > 0 && disk.free <= disk.total, "{disk:?}");
        assert_eq!(Some(disk.total), holding(dir.path()).map(|disk| disk.total));
    }
}
