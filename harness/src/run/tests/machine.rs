//! A machine in a temporary directory: a systemd that makes and removes the directories of its cgroups.

use std::fs;
use std::path::Path;

use super::super::{Paths, shelter};
use crate::systemd::{Call, Cgroups, Fake, Manager, Unit};

pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) systemd: Fake,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::holding(None)
    }

    /// One whose kernel holds this as `memory.max`, whatever it is told.
    pub(crate) fn holding(memory_max: Option<&'static str>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = paths(dir.path()).cgroups;
        let machine = Self { systemd: Fake::with(257, Cgroups { root, memory_max }), dir };
        let paths = machine.paths();
        for made in [&paths.state, &paths.data, &paths.cgroups.join(shelter::home().unwrap_or_default())] {
            fs::create_dir_all(made).expect("made");
        }
        let proc = paths.root.join("proc");
        fs::create_dir_all(&proc).expect("made");
        let text = "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
        fs::write(proc.join("meminfo"), text).expect("written");
        machine
    }

    pub(crate) fn paths(&self) -> Paths {
        paths(self.dir.path())
    }

    pub(crate) fn unit(&self, name: &str) -> Unit {
        self.systemd.unit(name).expect("known")
    }

    pub(crate) fn started(&self) -> Vec<String> {
        self.units(|call| matches!(call, Call::StartSlice(..)))
    }

    pub(crate) fn stopped(&self) -> Vec<String> {
        self.units(|call| matches!(call, Call::Stop(_)))
    }

    fn units(&self, which: impl Fn(&Call) -> bool) -> Vec<String> {
        self.systemd.calls().iter().filter(|call| which(call)).map(|call| call.unit().to_owned()).collect()
    }

    /// Directories that a run has left in its state directory.
    pub(crate) fn journals(&self) -> usize {
        fs::read_dir(self.paths().state).expect("there").count()
    }
}

fn paths(root: &Path) -> Paths {
    Paths {
        cgroups: root.join("cgroups"),
        root: root.to_owned(),
        state: root.join("state"),
        data: root.join("data"),
        programs: root.join("programs"),
        kmsg: root.join("kmsg"),
    }
}
