//! What killed runs left → taken down and proven gone. Never touches a run that lives, nor one that begins meanwhile.
//!
//! Whoever holds the machine keeps every run from beginning: then all that is left can be looked for. Without it only the
//! journals of dead runs are undone, by the proof that they hold; no name is searched for, nothing shared is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cleanup::{find_cgroups, gone, is_populated};
use super::containment::down::stop_unit;
use super::machine::{Machine, MachineError};
use super::origin::made_by_a_run;
use super::undo::{UNFINISHED, Undo};
use super::{Paths, shelter};
use crate::error::chain;
use crate::systemd::Manager;
use crate::unit_name::run_of;

/// What a recovery found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The runs whose journals were undone.
    pub undone: Vec<String>,
    /// What could not be taken down, in words.
    pub left: Vec<String>,
    /// Who is at work and was not touched, in words.
    pub living: Vec<String>,
}

/// Takes down what killed runs left. `patience` is how long what was stopped may take to be gone.
///
/// # Errors
/// When the lock of the machine or the directory of the journals cannot be used.
pub fn recover(systemd: &dyn Manager, paths: &Paths, patience: Duration) -> Result<Recovered, MachineError> {
    let mut found = Recovered::default();
    let machine = match Machine::take(&paths.state, "a recovery") {
        Ok(machine) => Some(machine),
        Err(MachineError::Busy { holder }) => {
            found.living.push(holder);
            None
        }
        Err(error) => return Err(error),
    };
    let journals =
        journals(&paths.state).map_err(|source| MachineError::Lock { path: paths.state.clone(), source })?;
    for dir in journals {
        undo_journal(&dir, systemd, paths, patience, machine.is_some(), &mut found);
    }
    if machine.is_some() && found.living.is_empty() {
        found.left.extend(strays(systemd, &paths.cgroups));
        found.left.extend(shelter::stop_slices(systemd, &paths.cgroups));
    }
    Ok(found)
}

/// The state directories of runs that did not end by themselves.
fn journals(state: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.is_dir() {
            dirs.push(path);
        }
    }
    dirs.sort();
    Ok(dirs)
}

fn undo_journal(
    dir: &Path,
    systemd: &dyn Manager,
    paths: &Paths,
    patience: Duration,
    holds_machine: bool,
    found: &mut Recovered,
) {
    let run = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if run.starts_with(UNFINISHED) {
        // Of a run that was killed before it could do anything; or, while one lives, of one that begins.
        let removed = if holds_machine { fs::remove_dir_all(dir) } else { Ok(()) };
        found.left.extend(removed.err().map(|error| format!("{}: {error}", dir.display())));
        return;
    }
    match Undo::resume(dir) {
        Ok(undo) => {
            let implicit = if holds_machine { undo.implicit() } else { Vec::new() };
            found.left.extend(undo.unwind(systemd, holds_machine.then_some(&paths.cgroups)));
            found.left.extend(gone(&run, &implicit, &paths.cgroups, systemd, patience, &|| false));
            found.undone.push(run);
        }
        // Undone by somebody else since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // The holder of the machine is named already.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            if holds_machine {
                found.living.push(format!("run {run}"));
            }
        }
        Err(error) => found.left.push(format!("the journal in {} cannot be read: {error}", dir.display())),
    }
}

/// Units that no journal speaks of: scopes first, slices from the innermost out. Only a unit whose name and description
/// agree on its run is a run's; a service that somebody named alike is none of ours.
fn strays(systemd: &dyn Manager, cgroups: &Path) -> Vec<String> {
    let mut units: Vec<String> = match systemd.list("") {
        Ok(units) => units.into_iter().map(|unit| unit.name).filter(|name| run_of(name).is_some()).collect(),
        Err(error) => return vec![format!("units could not be listed: {}", chain(&error))],
    };
    units.sort_by_key(|name| (name.ends_with(".slice"), std::cmp::Reverse(name.len())));
    let mut left: Vec<String> =
        units.iter().filter_map(|unit| stop_unit(unit, &made_by_a_run, systemd).err()).collect();
    // Processes whose unit is gone: nothing but the name of their cgroup tells of the run.
    match find_cgroups(cgroups, &|name| run_of(name).is_some()) {
        Ok(found) => {
            let orphaned = found.into_iter().filter(|path| is_populated(path) && is_nobodys(path, systemd));
            left.extend(orphaned.map(|path| format!("processes in {}", path.display())));
        }
        Err(error) => left.push(format!("{} could not be searched: {error}", cgroups.display())),
    }
    left
}

/// Whether no unit of somebody else's stands behind a cgroup.
fn is_nobodys(cgroup: &Path, systemd: &dyn Manager) -> bool {
    let name = cgroup.file_name().unwrap_or_default().to_string_lossy();
    systemd.unit(&name).map_or(true, |unit| !unit.is_active() || made_by_a_run(&unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::containment::{Containment, Group, Inside, Systemd};
    use crate::run::origin::Origin;
    use crate::run::undo::Step;
    use crate::systemd::{Call, Fake, Unit};
    use rstest::rstest;

    const DEAD: &str = "r5n17otgu92";
    const ALIVE: &str = "r5n17otgu93";

    struct Bench {
        dir: tempfile::TempDir,
        paths: Paths,
        systemd: Fake,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let at = |name: &str| dir.path().join(name);
            let paths = Paths {
                cgroups: at("cgroups"),
                root: at("root"),
                state: at("state"),
                data: at("data"),
                programs: at("programs"),
                kmsg: at("kmsg"),
            };
            fs::create_dir_all(&paths.cgroups).expect("made");
            Self { dir, paths, systemd: Fake::new(257) }
        }

        /// The journal of a run with a slice and a scope that are there.
        fn run(&self, run: &str) -> Undo {
            let mut undo = Undo::begin(&self.paths.state, run).expect("begun");
            let (slice, scope) = units(run);
            for (unit, inside) in [(&slice, Inside::Nobody), (&scope, Inside::Processes(&[7]))] {
                let group = Group { unit, slice: &slice, properties: &[] };
                Systemd(&self.systemd).make(&group, inside, &mut undo).expect("made");
            }
            undo
        }

        fn recover(&self) -> Recovered {
            recover(&self.systemd, &self.paths, Duration::ZERO).expect("recovered")
        }

        fn is_there(&self, unit: &str) -> bool {
            self.systemd.unit(unit).expect("known").exists()
        }

        /// The units that something was done to.
        fn touched(&self) -> Vec<String> {
            let ends = |call: &Call| matches!(call, Call::Stop(_) | Call::Kill(..) | Call::ResetFailed(_));
            self.systemd.calls().iter().filter(|call| ends(call)).map(|call| call.unit().to_owned()).collect()
        }
    }

    fn units(run: &str) -> (String, String) {
        (format!("bulkhead-{run}.slice"), format!("bulkhead-{run}-hog.scope"))
    }

    #[test]
    fn a_dead_run_is_taken_down_from_its_journal() {
        let bench = Bench::new();
        drop(bench.run(DEAD));
        let expected = Recovered { undone: vec![DEAD.into()], ..Recovered::default() };
        assert_eq!(bench.recover(), expected);
        let (slice, scope) = units(DEAD);
        assert!(!bench.is_there(&slice) && !bench.is_there(&scope) && !bench.is_there("bulkhead.slice"));
        assert_eq!(fs::read_dir(&bench.paths.state).expect("listed").count(), 0);
        assert_eq!(bench.recover(), Recovered::default());
    }

    #[test]
    fn a_run_that_lives_and_its_shelter_are_not_touched() {
        let bench = Bench::new();
        drop(bench.run(DEAD));
        let machine = Machine::take(&bench.paths.state, &format!("run {ALIVE}")).expect("taken");
        let alive = bench.run(ALIVE);
        let found = bench.recover();
        assert_eq!(found.living, [format!("run {ALIVE} (pid {})", std::process::id())]);
        assert_eq!(found.undone, [DEAD]);
        let (slice, scope) = units(DEAD);
        assert_eq!(bench.touched(), [scope.as_str(), &scope, &scope, &slice, &slice, &slice]);
        // The dead run brought the slice that both are in: it goes when the other is over.
        assert_eq!(found.left, ["bulkhead.slice stays while another run is active"]);
        drop((machine, alive));
        assert_eq!(bench.recover().left, Vec::<String>::new());
        assert!(!bench.is_there("bulkhead.slice"));
    }

    #[test]
    fn a_run_that_is_just_beginning_is_not_touched() {
        let bench = Bench::new();
        let machine = Machine::take(&bench.paths.state, &format!("run {ALIVE}")).expect("taken");
        // Its journal is not there yet, or not locked yet; its units are.
        let begun = bench.paths.state.join(format!("{UNFINISHED}{ALIVE}"));
        fs::create_dir(&begun).expect("made");
        let origin = Origin::draw(ALIVE).expect("drawn");
        bench.systemd.start_slice(&units(ALIVE).0, &origin.signed(&[])).expect("started");
        let found = bench.recover();
        assert_eq!((found.left.len(), found.living.len()), (0, 1), "{found:?}");
        assert_eq!(bench.touched(), Vec::<String>::new());
        assert!(begun.exists());
        drop(machine);
        bench.recover();
        assert!(!begun.exists() && !bench.is_there(&units(ALIVE).0));
    }

    #[rstest]
    #[case::in_the_run("bulkhead-r5n17otgu92-hog.scope", true)]
    #[case::below_a_slice_of_the_machine("workspace-bulkhead_r5n17otgu92-agents.slice", true)]
    #[case::of_somebody_who_named_it_alike("bulkhead-r5n17otgu92-hog.scope", false)]
    #[case::of_somebody_who_recovers_at_boot("bulkhead-recoveratboot.service", false)]
    fn a_unit_without_a_journal_is_stopped_only_when_it_says_which_run_made_it(
        #[case] name: &str,
        #[case] ours: bool,
    ) {
        let bench = Bench::new();
        let description = Origin::draw(DEAD).expect("drawn").description();
        bench.systemd.put(Unit {
            name: name.into(),
            load_state: "loaded".into(),
            active_state: Some("active".into()),
            description: Some(if ours { description } else { "mine".into() }),
            transient: true,
            ..Unit::default()
        });
        // Its processes are no leftover either while its unit is somebody's.
        let cgroup = bench.paths.cgroups.join(name);
        fs::create_dir_all(&cgroup).expect("made");
        fs::write(cgroup.join("cgroup.events"), "populated 1\nfrozen 0\n").expect("written");
        let found = bench.recover();
        assert_eq!(bench.is_there(name), !ours);
        assert_eq!(bench.touched().is_empty(), !ours);
        assert_eq!(found.left.is_empty(), !ours, "{found:?}");
    }

    #[test]
    fn a_journal_whose_unit_became_somebody_elses_kills_nobody() {
        let bench = Bench::new();
        let mut undo = Undo::begin(&bench.paths.state, DEAD).expect("begun");
        undo.before(Step::StopUnit("user-1000.slice".into())).expect("noted");
        drop(undo);
        bench.systemd.start_slice("user-1000.slice", &[]).expect("started");
        assert_eq!(bench.recover().left, Vec::<String>::new());
        assert_eq!(bench.touched(), Vec::<String>::new());
    }

    #[test]
    fn one_journal_that_cannot_be_read_does_not_keep_the_others() {
        let bench = Bench::new();
        drop(bench.run(DEAD));
        fs::create_dir_all(bench.paths.state.join(ALIVE).join("undo.jsonl")).expect("made");
        let found = bench.recover();
        assert_eq!(found.undone, [DEAD]);
        assert!(found.left.len() == 1 && found.left[0].contains("cannot be read"), "{found:?}");
        assert!(bench.dir.path().exists());
    }
}
