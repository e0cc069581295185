//! Runs a case in a throwaway VM: a pristine clone, the same program inside it, and its record as that sends it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command as HostCommand;
use std::time::Duration;

use ci::{Accelerator, CloneOptions, Command, Exit, Lab, Stream, Vm, VmError};

use super::Case;
use super::job::{Job, LEAVE};
use super::receive::{News, Receiver, Seen};
use crate::error::chain;
use crate::record::store::StoreError;
use crate::record::{Event, GuestFacts, Head};
use crate::scenario::requires::SwapNeed;

/// Where the programs lie in the guest.
const INSIDE: &str = "/opt/bulkhead";
/// The swap device of the guest.
const SWAP: &str = "/dev/vdc";
/// Time beyond the scenario's own deadline after which the guest counts as hung.
const GRACE: Duration = Duration::from_secs(60);
/// Kept of what the program inside says for people.
const SAID_BYTES: usize = 64 << 10;
/// Lines of console kept when a machine is lost.
const CONSOLE_LINES: usize = 40;

/// Why no case can be run in a VM.
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
}

/// What goes into every clone: the programs, as one tar.
#[derive(Debug)]
pub struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    /// Packs the programs beside this one.
    ///
    /// # Errors
    /// When a program is missing (build with `cargo build --release`) or the tar cannot be written.
    pub fn pack() -> Result<Self, VmTargetError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| VmTargetError::Io { what, source }
        };
        let dir = tempfile::tempdir().map_err(io("a temporary directory"))?;
        let root = dir.path().join(INSIDE.trim_start_matches('/'));
        fs::create_dir_all(&root).map_err(io("a temporary directory"))?;
        let here = std::env::current_exe().map_err(io("the path of this program"))?;
        let programs = here.parent().unwrap_or(Path::new("/"));
        for program in ["bulkhead", "balloon", "bystander"] {
            let from = programs.join(program);
            fs::copy(&from, root.join(program)).map_err(io(&format!(
                "{} is missing: build everything with cargo build --release",
                from.display()
            )))?;
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

    /// The tar, to be unpacked at `/`.
    #[must_use]
    pub fn tar(&self) -> PathBuf {
        self.dir.path().join("files.tar")
    }
}

/// Runs one case in a clone and leaves its record in `dir`. Told that the run asks for leave, `on` returns when it has it.
///
/// # Errors
/// When the record cannot be written here. A VM that panics, hangs or vanishes leaves a record of what it saw up to then.
pub fn run_case(
    lab: &Lab,
    bundle: &Bundle,
    case: &Case,
    dir: &Path,
    on: &mut dyn FnMut(News<'_>),
) -> Result<(), StoreError> {
    let head = head(lab, case);
    let options = CloneOptions { files: Some(bundle.tar()), ..CloneOptions::new(head.id().dir_name()) };
    let receiver = Receiver::begin(dir, head)?;
    match lab.spawn(&options) {
        Ok(vm) => run_inside(&vm, case, receiver, on),
        Err(error) => {
            let lost = format!("the VM failed, not the scenario: {}", chain(&error));
            receiver.end(Seen { lost: Some(lost), ..Seen::default() })
        }
    }
}

/// Runs one case in a clone that holds a bundle, up to the end of its record.
///
/// # Errors
/// When the record cannot be written here.
pub fn run_inside(
    vm: &Vm,
    case: &Case,
    mut receiver: Receiver,
    on: &mut dyn FnMut(News<'_>),
) -> Result<(), StoreError> {
    let mut seen = Seen::default();
    let before = vm.host_share();
    match drive(vm, case, &mut receiver, &mut seen.trouble, on) {
        Ok(lost) => seen.lost = lost,
        Err(error) => seen.lost = Some(chain(&error)),
    }
    seen.waited_percent =
        before.zip(vm.host_share()).and_then(|(before, after)| after.waited_percent_since(&before));
    seen.console = vm.console_tail(CONSOLE_LINES);
    receiver.end(seen)
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

/// Runs the half inside to its end; returns how that ended when it was not as it should.
fn drive(
    vm: &Vm,
    case: &Case,
    receiver: &mut Receiver,
    trouble: &mut Vec<Event>,
    on: &mut dyn FnMut(News<'_>),
) -> Result<Option<String>, VmError> {
    *trouble = provide(vm, case)?;
    let command = Command::new(format!("{INSIDE}/bulkhead")).arg("inner").told();
    let mut running = vm.start(&command.timeout(case.scenario.deadline.duration() + GRACE))?;
    running.tell(Job::of(case, receiver.guest()).line())?;
    let mut said = String::new();
    while let Some((stream, bytes)) = running.read()? {
        let mut asks = false;
        match stream {
            Stream::Stdout => receiver.feed(&bytes, &mut |news| {
                asks |= news == News::Ready;
                on(news);
            }),
            Stream::Stderr if said.len() < SAID_BYTES => said += &String::from_utf8_lossy(&bytes),
            Stream::Stderr => {}
        }
        if asks {
            running.tell(LEAVE)?;
        }
    }
    Ok(match running.wait(&mut |_, _| {})? {
        Exit::Code(0) => None,
        Exit::Code(code) => Some(format!("the program in the guest exited with {code}: {}", said.trim())),
        Exit::Signal(signal) => {
            Some(format!("the program in the guest was killed by signal {signal}: {}", said.trim()))
        }
    })
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
        let allowance = crate::allowance::PATH;
        let line = Command::sh(format!("echo 'swap-rate = \"{}\"' >> {allowance}", rate.0));
        run(format!("write swap-rate to {allowance}"), line)?;
    }
    for unit in &scenario.requires.units {
        run(format!("systemctl start {unit}"), Command::new("systemctl").arg("start").arg(unit.to_string()))?;
    }
    Ok(trouble)
}
