//! The cgroup of this service in the guest, made ready to hold cgroups of its own.

use std::fs;
use std::path::{Path, PathBuf};

use harness::cgroupfs::{self, CgroupPath, cgroup_of};

use crate::Result;

/// A delegated cgroup, and what was made below it. Dropping it removes that.
#[derive(Debug)]
pub(crate) struct Delegated {
    path: CgroupPath,
    made: Vec<CgroupPath>,
}

impl Delegated {
    /// Moves this process into a cgroup below its own: one that hands controllers on may hold no process itself
    /// (kernel, cgroup-v2.rst, "No Internal Process Constraint").
    pub(crate) fn enter() -> Result<Self> {
        let delegated = Self { path: cgroup_of("/proc".as_ref(), std::process::id())?, made: Vec::new() };
        let main = below(&delegated.path.join("main")?);
        fs::create_dir(&main)?;
        fs::write(main.join("cgroup.procs"), "0")?;
        delegated.put("cgroup.subtree_control", "+memory +cpu")?;
        Ok(delegated)
    }

    /// Makes one more cgroup.
    pub(crate) fn make(&mut self, name: &str) -> Result<CgroupPath> {
        let path = self.path.join(name)?;
        fs::create_dir(below(&path))?;
        self.made.push(path.clone());
        Ok(path)
    }

    fn put(&self, file: &str, words: &str) -> Result {
        Ok(fs::write(below(&self.path).join(file), words)?)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for path in &self.made {
            if let Err(error) = fs::remove_dir(below(path)) {
                eprintln!("{path}: {error}");
            }
        }
    }
}

/// Where a cgroup is in the file system.
pub(crate) fn below(path: &CgroupPath) -> PathBuf {
    path.below(Path::new(cgroupfs::ROOT))
}
