//! Runs a case in a throwaway VM: a pristine clone, the same program inside it, and its record brought back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command as HostCommand;
use std::time::Duration;

use ci::{Accelerator, CloneOptions, Command, Exit, Lab, Stream, Vm, VmError};

use super::{Case, write_end};
use crate::record::event::EndReason;
use crate::record::store::{Store, StoreError};
use crate::record::{Event, GuestFacts, Head, Record, Stamped};
use crate::run::progress::Progress;
use crate::scenario::requires::SwapNeed;

/// Where the programs and scenarios lie in the guest.
const INSIDE: &str = "/opt/bulkhead";
/// Where the record is written in the guest: memory, so that a throttled disk cannot stall the witness.
const RECORD: &str = "/run/bulkhead-record";
/// The swap device of the guest.
const SWAP: &str = "/dev/vdc";
/// Time beyond the scenario's own deadline after which the guest counts as hung.
const GRACE: Duration = Duration::from_secs(60);
/// Lines of console kept when a machine is lost.
const CONSOLE_LINES: usize = 40;

/// Why a case could not be run in a VM. The machine's own failures are no errors: they are in the record.
#[derive(Debug, thiserror::Error)]
pub enum VmTargetError {
    /// A file for the guest could not be made.
    #[error("{what}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The record cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What goes into every clone: the programs and the scenario files, as one tar.
#[derive(Debug)]
pub struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    /// Packs the programs beside this one, and the given scenario files.
    ///
    /// # Errors
    /// When a program is missing (build with `cargo build --release`) or the tar cannot be written.
    pub fn pack(scenarios: &[PathBuf]) -> Result<Self, VmTargetError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| VmTargetError::Io { what, source }
        };
        let dir = tempfile::tempdir().map_err(io("a temporary directory"))?;
        let root = dir.path().join(INSIDE.trim_start_matches('/'));
        fs::create_dir_all(root.join("scenarios")).map_err(io("a temporary directory"))?;
        let here = std::env::current_exe().map_err(io("the path of this program"))?;
        let programs = here.parent().unwrap_or(Path::new("/"));
        for program in ["bulkhead", "balloon", "bystander"] {
            let from = programs.join(program);
            fs::copy(&from, root.join(program)).map_err(io(&format!(
                "{} is missing: build everything with cargo build --release",
                from.display()
            )))?;
        }
        for scenario in scenarios {
            if let Some(name) = scenario.file_name() {
                fs::copy(scenario, root.join("scenarios").join(name))
                    .map_err(io(&scenario.display().to_string()))?;
            }
        }
        let status = HostCommand::new("tar")
            .arg("-C")
            .arg(dir.path())
            .args(["--owner=0", "--group=0", "-cf"])
            .arg(dir.path().join("files.tar"))
            .arg("opt")
            .status()
            .map_err(io("tar"))?;
        if !status.success() {
            return Err(VmTargetError::Io {
                what: "tar failed".into(),
                source: io::Error::other(status.to_string()),
            });
        }
        Ok(Self { dir })
    }

    fn tar(&self) -> PathBuf {
        self.dir.path().join("files.tar")
    }
}

/// Runs one case in a clone and leaves its record in `dir`.
///
/// # Errors
/// When the record cannot be written here. A VM that panics, hangs or vanishes leaves a record that says so.
pub fn run_case(
    lab: &Lab,
    bundle: &Bundle,
    case: &Case,
    dir: &Path,
    on: &mut dyn FnMut(&Progress),
) -> Result<(), VmTargetError> {
    let head = head(lab, case);
    let options = CloneOptions { files: Some(bundle.tar()), ..CloneOptions::new(head.id().dir_name()) };
    let lost = |what: String, console: String| EndReason::MachineLost { what, console };
    let vm = match lab.spawn(&options) {
        Ok(vm) => vm,
        Err(error) => {
            let what =
                format!("trouble of the VM, not of the scenario: {}", crate::run::recorder::chain(&error));
            return Ok(write_end(dir, &head, lost(what, String::new()))?);
        }
    };
    match drive(&vm, case, dir, &head, on) {
        Ok(()) => Ok(()),
        Err(Drive::Vm(error)) => {
            let what = crate::run::recorder::chain(&error);
            Ok(write_end(dir, &head, lost(what, vm.console_tail(CONSOLE_LINES)))?)
        }
        Err(Drive::Store(error)) => Err(error.into()),
    }
}

/// The head of a case's record, as far as it is known out here.
#[must_use]
pub fn head(lab: &Lab, case: &Case) -> Head {
    let name = lab.guest().to_string();
    case.head(Some(GuestFacts { name, accelerator: accelerator(lab).into(), waited_percent: None }))
}

/// The word that `-accel` takes.
fn accelerator(lab: &Lab) -> &'static str {
    match lab.verdict().accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg",
    }
}

enum Drive {
    Vm(VmError),
    Store(StoreError),
}

impl From<VmError> for Drive {
    fn from(error: VmError) -> Self {
        Self::Vm(error)
    }
}

fn drive(vm: &Vm, case: &Case, dir: &Path, head: &Head, on: &mut dyn FnMut(&Progress)) -> Result<(), Drive> {
    let trouble = provide(vm, case)?;
    let command = Command::new(format!("{INSIDE}/bulkhead"))
        .args(["run", "--on", "host", "--progress-json", "--record", RECORD, "--twins"])
        .arg(case.twin.as_deref().unwrap_or("none"))
        .arg(format!("{INSIDE}/scenarios/{}.toml", case.scenario.id))
        .timeout(case.scenario.deadline.duration() + GRACE);
    let mut lines = Lines::default();
    let mut said = String::new();
    let before = vm.host_share();
    let exit = vm.exec(&command, &mut |stream, bytes| match stream {
        Stream::Stdout => lines.feed(bytes, |line| {
            if let Ok(progress) = serde_json::from_slice::<Progress>(line) {
                on(&progress);
            }
        }),
        Stream::Stderr => said += &String::from_utf8_lossy(bytes),
    })?;
    let fetched = vm.fetch(Path::new(RECORD), dir);
    if let (Err(_), false) = (&fetched, dir.join("record.json").exists()) {
        // The program inside did not even begin a record: its own words are all there is.
        let what = match exit {
            Exit::Code(code) => format!("the program inside ended with {code}: {}", said.trim()),
            Exit::Signal(signal) => {
                format!("the program inside was killed by signal {signal}: {}", said.trim())
            }
        };
        let reason = EndReason::MachineLost { what, console: vm.console_tail(CONSOLE_LINES) };
        return write_end(dir, head, reason).map_err(Drive::Store);
    }
    fetched?;
    let waited = before.zip(vm.host_share()).and_then(|(before, after)| after.waited_percent_since(&before));
    add_outside(dir, head, waited, &trouble).map_err(Drive::Store)
}

/// Gives the machine what the scenario requires of it: a VM can. Returns what it would not take, and why; whether the
/// requirement is met is found out inside.
fn provide(vm: &Vm, case: &Case) -> Result<Vec<Event>, VmError> {
    let scenario = case.to_run().unwrap_or_else(|_| (*case.scenario).clone());
    let mut trouble = Vec::new();
    let mut run = |step: String, command: Command| -> Result<(), VmError> {
        let mut said = String::new();
        let exit = vm.exec(&command, &mut |_, bytes| said += &String::from_utf8_lossy(bytes))?;
        if !exit.success() {
            trouble.push(Event::Trouble { step, error: format!("{exit:?}: {}", said.trim()) });
        }
        Ok(())
    };
    if matches!(scenario.requires.swap, Some(SwapNeed::AtLeast(_))) {
        run(format!("swapon {SWAP}"), Command::new("swapon").arg(SWAP))?;
    }
    if let Some(rate) = scenario.requires.swap_rate {
        vm.throttle_swap(rate.0)?;
        let policy = crate::guard::POLICY_PATH;
        let line = Command::sh(format!("echo 'swap-rate = \"{}\"' >> {policy}", rate.0));
        run(format!("write swap-rate to {policy}"), line)?;
    }
    for unit in &scenario.requires.units {
        run(format!("systemctl start {unit}"), Command::new("systemctl").arg("start").arg(unit.to_string()))?;
    }
    Ok(trouble)
}

/// The record was written inside; which guest it was, and what went wrong before, is known out here.
fn add_outside(
    dir: &Path,
    head: &Head,
    waited_percent: Option<u64>,
    trouble: &[Event],
) -> Result<(), StoreError> {
    let mut inside = Record::load(dir)?.head;
    inside.case.clone_from(&head.case);
    inside.guest = head.guest.clone().map(|guest| GuestFacts { waited_percent, ..guest });
    let store = Store::reopen(dir)?;
    for event in trouble {
        store.append(&Stamped { at_us: 0, event: event.clone() })?;
    }
    store.write_head(&inside)
}

/// Cuts a byte stream into lines.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            each(&line[..end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_the_bytes_arrive() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for part in [&b"on"[..], b"e\ntw", b"o\n", b"three"] {
            lines.feed(part, |line| seen.push(String::from_utf8_lossy(line).into_owned()));
        }
        assert_eq!(seen, ["one", "two"]);
    }
}
