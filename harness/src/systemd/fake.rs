//! A systemd in memory, for unit tests of whatever drives one: it records the calls and keeps units as they would stand.
//!
//! It starts no processes, and knows no limit but `memory.max` of a slice.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::manager::{Error, Manager};
use super::property::{Value, sent};
use super::unit::{Unit, UnitStatus};
use crate::cgroupfs::LimitFile;
use crate::notation::bytes::Bytes;
use crate::property::{Property, PropertyValue};
use crate::unit_name::{slice_cgroup, slices_above};

/// A call that changed something, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`Manager::start_slice`]: name, properties.
    StartSlice(String, Vec<Property>),
    /// [`Manager::start_scope`]: name, slice, processes, properties.
    StartScope(String, String, Vec<u32>, Vec<Property>),
    /// [`Manager::start_service`]: name, slice, argv, environment, properties.
    StartService(String, String, Vec<String>, Vec<String>, Vec<Property>),
    /// [`Manager::start`].
    Start(String),
    /// [`Manager::stop`].
    Stop(String),
    /// [`Manager::kill`]: name, signal.
    Kill(String, i32),
    /// [`Manager::reset_failed`].
    ResetFailed(String),
    /// [`Manager::set_properties`].
    SetProperties(String, Vec<Property>),
}

impl Call {
    /// The unit it is about.
    #[must_use]
    pub fn unit(&self) -> &str {
        match self {
            Self::StartSlice(name, ..)
            | Self::StartScope(name, ..)
            | Self::StartService(name, ..)
            | Self::Start(name)
            | Self::Stop(name)
            | Self::Kill(name, _)
            | Self::ResetFailed(name)
            | Self::SetProperties(name, _) => name,
        }
    }
}

/// The pretended systemd.
#[derive(Debug)]
pub struct Fake {
    version: u32,
    cgroups: Option<Cgroups>,
    state: Mutex<State>,
}

/// Where slices have a directory as long as they are there.
#[derive(Debug)]
pub struct Cgroups {
    /// The root of the hierarchy.
    pub root: PathBuf,
    /// What the kernel holds as `memory.max`, whatever it was told.
    pub memory_max: Option<&'static str>,
}

impl Cgroups {
    fn dir(&self, slice: &str) -> PathBuf {
        let path = slice_cgroup(slice).expect("a slice");
        self.root.join(path.as_str().trim_start_matches('/'))
    }

    fn make(&self, slice: &str, properties: &[Property]) {
        let dir = self.dir(slice);
        fs::create_dir_all(&dir).expect("made");
        let mut held = properties.iter().filter_map(|property| property.held(Bytes(1 << 30)));
        let limit = held.find(|(file, _)| *file == LimitFile::Max).map(|(_, limit)| limit.to_string());
        let limit = self.memory_max.map(str::to_owned).or(limit).unwrap_or_else(|| "max".into());
        fs::write(dir.join("memory.max"), limit).expect("written");
    }

    fn remove(&self, unit: &str) {
        if unit.ends_with(".slice") {
            let _ = fs::remove_dir_all(self.dir(unit));
        }
    }
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    units: BTreeMap<String, (Unit, BTreeMap<String, Value>)>,
    /// Unit, and the error that the next call about it meets.
    failures: VecDeque<(String, Error)>,
    next_pid: u32,
}

impl Fake {
    /// A systemd of this version with no units.
    #[must_use]
    pub fn new(version: u32) -> Self {
        Self { version, cgroups: None, state: Mutex::new(State { next_pid: 100_000, ..State::default() }) }
    }

    /// The same, with a hierarchy.
    #[must_use]
    pub fn with(version: u32, cgroups: Cgroups) -> Self {
        Self { cgroups: Some(cgroups), ..Self::new(version) }
    }

    /// The changing calls so far, failed ones included.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Puts a unit in place, or replaces it, as if something else had changed it.
    pub fn put(&self, unit: Unit) {
        let mut state = self.state();
        let properties = state.units.remove(&unit.name).map(|(_, properties)| properties).unwrap_or_default();
        state.units.insert(unit.name.clone(), (unit, properties));
    }

    /// Lets the next service that is started have this main process.
    pub fn next_main_pid(&self, pid: u32) {
        self.state().next_pid = pid;
    }

    /// Gives a property of a unit a value, whoever set it.
    pub fn says(&self, name: &str, property: &str, value: Value) {
        if let Some((_, properties)) = self.state().units.get_mut(name) {
            properties.insert(property.to_owned(), value);
        }
    }

    /// Removes a unit, as if it had ended and been forgotten.
    pub fn forget(&self, name: &str) {
        self.state().units.remove(name);
    }

    /// Makes the next changing call about `unit` fail.
    pub fn fail_next(&self, unit: &str, error: Error) {
        self.state().failures.push_back((unit.to_owned(), error));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, call: Call) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.state();
        let failure = state.failures.iter().position(|(unit, _)| unit == call.unit());
        state.calls.push(call);
        match failure.and_then(|at| state.failures.remove(at)) {
            Some((_, error)) => Err(error),
            None => Ok(state),
        }
    }
}

impl State {
    fn start(
        &mut self,
        name: &str,
        slice: Option<&str>,
        properties: &[Property],
    ) -> Result<&mut Unit, Error> {
        if self.units.contains_key(name) {
            return Err(refused(
                "start",
                name,
                &format!("Unit {name} was already loaded or has a fragment file."),
            ));
        }
        // As systemd does: the slices above come with it, without limits.
        let above = slices_above(slice.unwrap_or(name)).into_iter();
        for implicit in above.chain(slice.filter(|slice| *slice != "-.slice").map(str::to_owned)) {
            let unit = || Unit {
                name: implicit.clone(),
                load_state: "loaded".to_owned(),
                active_state: Some("active".to_owned()),
                control_group: slice_cgroup(&implicit).ok(),
                description: Some(implicit.clone()),
                ..Unit::default()
            };
            self.units.entry(implicit.clone()).or_insert_with(|| (unit(), BTreeMap::new()));
        }
        let cgroup = match slice {
            Some(slice) => slice_cgroup(slice).and_then(|path| path.join(name)),
            None => slice_cgroup(name),
        };
        let cgroup = cgroup.map_err(|error| refused("start", name, &error.to_string()))?;
        let unit = Unit {
            name: name.to_owned(),
            load_state: "loaded".to_owned(),
            active_state: Some("active".to_owned()),
            sub_state: Some(if slice.is_some() { "running" } else { "active" }.to_owned()),
            result: slice.map(|_| "success".to_owned()),
            control_group: Some(cgroup),
            slice: slice.map(str::to_owned),
            description: Some(described(name, properties)),
            transient: true,
            ..Unit::default()
        };
        let properties = properties.iter().map(sent).collect();
        Ok(&mut self.units.entry(name.to_owned()).or_insert((unit, properties)).0)
    }

    fn known(&mut self, action: &str, name: &str) -> Result<&mut (Unit, BTreeMap<String, Value>), Error> {
        self.units.get_mut(name).ok_or_else(|| refused(action, name, &format!("Unit {name} not loaded.")))
    }
}

/// systemd's `Description=`: the unit's name unless somebody gave another.
fn described(name: &str, properties: &[Property]) -> String {
    let given = properties.iter().find_map(|property| match &property.value {
        PropertyValue::Text(text) => Some(text),
        _ => None,
    });
    given.map_or_else(|| name.to_owned(), Clone::clone)
}

fn refused(action: &str, name: &str, why: &str) -> Error {
    Error::Refused { action: format!("{action} {name}"), source: zbus::Error::Failure(why.to_owned()) }
}

impl Manager for Fake {
    fn version(&self) -> Result<u32, Error> {
        Ok(self.version)
    }

    fn start_slice(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        let mut state = self.record(Call::StartSlice(name.to_owned(), properties.to_vec()))?;
        state.start(name, None, properties)?;
        self.cgroups.iter().for_each(|cgroups| cgroups.make(name, properties));
        Ok(())
    }

    fn start_scope(
        &self,
        name: &str,
        slice: &str,
        pids: &[u32],
        properties: &[Property],
    ) -> Result<(), Error> {
        let call = Call::StartScope(name.to_owned(), slice.to_owned(), pids.to_vec(), properties.to_vec());
        let mut state = self.record(call)?;
        if pids.is_empty() {
            return Err(refused("start", name, "Scope has no PIDs. Refusing."));
        }
        state.start(name, Some(slice), properties).map(drop)
    }

    fn start_service(
        &self,
        name: &str,
        slice: &str,
        argv: &[String],
        env: &[String],
        properties: &[Property],
    ) -> Result<(), Error> {
        let call = Call::StartService(
            name.to_owned(),
            slice.to_owned(),
            argv.to_vec(),
            env.to_vec(),
            properties.to_vec(),
        );
        let mut state = self.record(call)?;
        let pid = state.next_pid;
        state.next_pid += 1;
        let unit = state.start(name, Some(slice), properties)?;
        unit.main_pid = Some(pid);
        unit.n_restarts = Some(0);
        Ok(())
    }

    fn start(&self, name: &str) -> Result<(), Error> {
        let mut state = self.record(Call::Start(name.to_owned()))?;
        state.known("start", name)?.0.active_state = Some("active".to_owned());
        Ok(())
    }

    fn stop(&self, name: &str) -> Result<(), Error> {
        self.record(Call::Stop(name.to_owned()))?.units.remove(name);
        self.cgroups.iter().for_each(|cgroups| cgroups.remove(name));
        Ok(())
    }

    fn kill(&self, name: &str, signal: i32) -> Result<(), Error> {
        let mut state = self.record(Call::Kill(name.to_owned(), signal))?;
        state.known("kill", name).map(drop)
    }

    fn reset_failed(&self, name: &str) -> Result<(), Error> {
        let mut state = self.record(Call::ResetFailed(name.to_owned()))?;
        if state.units.get(name).is_some_and(|(unit, _)| unit.active_state.as_deref() == Some("failed")) {
            state.units.remove(name);
        }
        Ok(())
    }

    fn set_properties(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        let mut state = self.record(Call::SetProperties(name.to_owned(), properties.to_vec()))?;
        let known = &mut state.known("change", name)?.1;
        known.extend(properties.iter().map(sent));
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<UnitStatus>, Error> {
        let state = self.state();
        let units = state.units.values().map(|(unit, _)| unit).filter(|unit| unit.name.starts_with(prefix));
        Ok(units
            .map(|unit| UnitStatus {
                name: unit.name.clone(),
                load: unit.load_state.clone(),
                active: unit.active_state.clone().unwrap_or_default(),
                sub: unit.sub_state.clone().unwrap_or_default(),
            })
            .collect())
    }

    fn unit(&self, name: &str) -> Result<Unit, Error> {
        Ok(self.state().units.get(name).map_or_else(|| Unit::absent(name), |(unit, _)| unit.clone()))
    }

    fn property(&self, unit: &str, property: &str) -> Result<Option<Value>, Error> {
        Ok(self.state().units.get(unit).and_then(|(_, properties)| properties.get(property).cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::PropertyName;

    #[test]
    fn a_started_scope_stands_below_its_slice_until_it_is_stopped() {
        let fake = Fake::new(257);
        let limit = [Property::bytes(PropertyName::MemoryMax, 4096)];
        fake.start_slice("a-b.slice", &[]).expect("started");
        fake.start_scope("x.scope", "a-b.slice", &[7], &limit).expect("started");
        let unit = fake.unit("x.scope").expect("known");
        assert!(unit.is_active());
        assert_eq!(unit.control_group.map(String::from).as_deref(), Some("/a.slice/a-b.slice/x.scope"));
        assert_eq!(fake.property("x.scope", "MemoryMax").expect("read"), Some(Value::U64(4096)));
        assert!(fake.start_scope("x.scope", "a-b.slice", &[8], &[]).is_err(), "the name is in use");
        fake.stop("x.scope").expect("stopped");
        assert!(!fake.unit("x.scope").expect("known").exists());
        assert_eq!(fake.list("a-").expect("listed").len(), 1);
        assert!(fake.unit("a.slice").expect("known").is_active(), "the slice above came with it");
        assert_eq!(
            fake.calls().iter().map(Call::unit).collect::<Vec<_>>(),
            ["a-b.slice", "x.scope", "x.scope", "x.scope"]
        );
    }

    #[test]
    fn a_call_fails_once_when_told_to() {
        let fake = Fake::new(257);
        let error =
            Error::Job { action: "start a.slice".into(), unit: "a.slice".into(), result: "failed".into() };
        fake.fail_next("a.slice", error);
        assert!(fake.start_slice("b.slice", &[]).is_ok());
        assert!(fake.start_slice("a.slice", &[]).is_err());
        assert!(fake.start_slice("a.slice", &[]).is_ok());
    }

    #[test]
    fn it_can_stand_where_a_manager_is_wanted() {
        let manager: Box<dyn Manager> = Box::new(Fake::new(252));
        assert_eq!(manager.version().expect("a version"), 252);
        assert!(manager.start_scope("x.scope", "a.slice", &[], &[]).is_err(), "a scope needs a process");
    }
}
