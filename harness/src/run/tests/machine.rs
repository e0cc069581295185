//! A machine in a temporary directory: a systemd that makes and removes the directories of its cgroups.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Paths, shelter};
use crate::cgroupfs::LimitFile;
use crate::notation::Bytes;
use crate::property::Property;
use crate::systemd::{Call, Error, Fake, Manager, Unit, UnitStatus, Value};
use crate::unit_name::slice_cgroup;

pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) systemd: Fake,
    /// What the kernel holds as `memory.max`, whatever it was told.
    pub(crate) memory_max: Option<&'static str>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let machine = Self { dir, systemd: Fake::new(257), memory_max: None };
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
        let root = self.dir.path();
        Paths {
            cgroups: root.join("cgroups"),
            root: root.to_owned(),
            state: root.join("state"),
            data: root.join("data"),
            programs: root.join("programs"),
            kmsg: root.join("kmsg"),
        }
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

    fn cgroup(&self, slice: &str) -> PathBuf {
        let path = slice_cgroup(slice).expect("a slice");
        self.paths().cgroups.join(path.as_str().trim_start_matches('/'))
    }
}

fn is_slice(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "slice")
}

impl Manager for Machine {
    fn version(&self) -> Result<u32, Error> {
        self.systemd.version()
    }

    fn start_slice(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        self.systemd.start_slice(name, properties)?;
        let cgroup = self.cgroup(name);
        fs::create_dir_all(&cgroup).expect("made");
        let held = properties.iter().filter_map(|property| property.held(Bytes(1 << 30)));
        let limit =
            held.into_iter().find(|(file, _)| *file == LimitFile::Max).map(|(_, limit)| limit.to_string());
        let limit = self.memory_max.map(str::to_owned).or(limit).unwrap_or_else(|| "max".into());
        fs::write(cgroup.join("memory.max"), limit).expect("written");
        Ok(())
    }

    fn start_scope(
        &self,
        name: &str,
        slice: &str,
        pids: &[u32],
        properties: &[Property],
    ) -> Result<(), Error> {
        self.systemd.start_scope(name, slice, pids, properties)
    }

    fn start_service(
        &self,
        name: &str,
        slice: &str,
        argv: &[String],
        env: &[String],
        properties: &[Property],
    ) -> Result<(), Error> {
        self.systemd.start_service(name, slice, argv, env, properties)
    }

    fn start(&self, name: &str) -> Result<(), Error> {
        self.systemd.start(name)
    }

    fn stop(&self, name: &str) -> Result<(), Error> {
        self.systemd.stop(name)?;
        if is_slice(name) {
            let _ = fs::remove_dir_all(self.cgroup(name));
        }
        Ok(())
    }

    fn kill(&self, name: &str, signal: i32) -> Result<(), Error> {
        self.systemd.kill(name, signal)
    }

    fn reset_failed(&self, name: &str) -> Result<(), Error> {
        self.systemd.reset_failed(name)
    }

    fn set_properties(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        self.systemd.set_properties(name, properties)
    }

    fn list(&self, prefix: &str) -> Result<Vec<UnitStatus>, Error> {
        self.systemd.list(prefix)
    }

    fn unit(&self, name: &str) -> Result<Unit, Error> {
        self.systemd.unit(name)
    }

    fn property(&self, unit: &str, property: &str) -> Result<Option<Value>, Error> {
        self.systemd.property(unit, property)
    }
}
