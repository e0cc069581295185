//! One guest, ready to be cloned: image → accelerator → template → machines.

mod installation;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::Expect;
use crate::cache::{Cache, Found, Held, Scratch};
use crate::digest::Digest;
use crate::event::{Event, Listener};
use crate::image::Image;
use crate::process::Qemu;
use crate::qemu::{Hardware, MEMORY_BYTES, Memory, Ports, Root, Version};
use crate::snapshot::{self, Plan, Template};
use crate::vm::{Command, Machine, PULSE_DEADLINE, Vm, VmError};
use crate::wire::Ask;
use crate::{Guest, LabError, accel};

/// Four seconds on a quiet machine; a starved one takes many times that.
const BOOT_PATIENCE: Duration = Duration::from_secs(120);
const UNPACK_PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(20);
/// Changes when the way a template is made does.
const TEMPLATE: &str = "1";

/// One guest's image and template. Clones can be made from several threads at once.
#[derive(Debug)]
pub struct Lab {
    guest: Guest,
    cache: Cache,
    image: Arc<Image>,
    hardware: Hardware,
    verdict: accel::Verdict,
    template: Held,
}

pub use installation::Installation;

/// What is special about a clone.
#[derive(Debug, Clone)]
pub struct CloneOptions {
    /// For people, and in the process list.
    pub name: String,
    /// A tar that is unpacked at `/` before the first command; at most 256 MiB.
    pub files: Option<PathBuf>,
    /// Limit of the swap device in bytes a second, reading and writing together.
    pub swap_throttle: Option<u64>,
    /// How long the agent may be silent while a command runs, before the guest counts as hung.
    pub pulse_deadline: Duration,
}

impl CloneOptions {
    /// No files, no throttle, a deadline of ten seconds.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), files: None, swap_throttle: None, pulse_deadline: PULSE_DEADLINE }
    }
}

impl Lab {
    /// Builds what is not in the cache yet: the image (half a minute), the accelerator's verdict, and the template
    /// (one boot). With all of it cached this takes a few milliseconds.
    ///
    /// # Errors
    /// A program is missing or fails, or the guest did not boot, twice in a row.
    pub fn prepare(guest: Guest, on: Listener<'_>) -> Result<Self, LabError> {
        let cache = Cache::open()?;
        cache.sweep()?;
        let version = Version::installed()?;
        let image = Image::obtain(&cache, guest, on)?;
        let verdict = accel::judge(&cache, &version, &image.kernel(), on)?;
        let hardware = Hardware { version, accelerator: verdict.accelerator, memory: MEMORY_BYTES };
        let start = Instant::now();
        let key = template_key(&image, &hardware);
        let (template, found) = cache.obtain(&format!("template-{guest}"), &key, on, |directory| {
            let template = Template::at(directory);
            twice(on, || {
                template.clear();
                template.make_disk(&image)?;
                boot_and_freeze(&cache, guest, &image, &hardware, &template, HEALTH, on)
            })
        })?;
        on(Event::TemplateReady { guest, cached: found == Found::Cached, took: start.elapsed() });
        Ok(Self { guest, cache, image: Arc::new(image), hardware, verdict, template })
    }

    /// Which guest this is.
    #[must_use]
    pub fn guest(&self) -> Guest {
        self.guest
    }

    /// How guests run here, and why.
    #[must_use]
    pub fn verdict(&self) -> &accel::Verdict {
        &self.verdict
    }

    /// How many processors each machine has.
    #[must_use]
    pub fn processors(&self) -> u32 {
        self.hardware.processors()
    }

    /// A pristine machine, settled and with its files in place. A clone that fails to start is tried once more.
    ///
    /// # Errors
    /// QEMU does not start or load the template, or the files cannot be unpacked.
    pub fn spawn(&self, options: &CloneOptions) -> Result<Vm, LabError> {
        match self.clone_once(options) {
            Err(LabError::Vm { .. }) => self.clone_once(options),
            spawned => spawned,
        }
    }

    fn clone_once(&self, options: &CloneOptions) -> Result<Vm, LabError> {
        let disk = Template::at(self.template.path()).disk();
        self.clone_onto(options, Root::Throwaway { file: &disk, format: "qcow2" })
    }

    /// A clone that writes to `root`.
    fn clone_onto(&self, options: &CloneOptions, root: Root<'_>) -> Result<Vm, LabError> {
        let template = Template::at(self.template.path());
        let scratch = self.cache.scratch()?;
        let disks = snapshot::make_disks(&self.image, options.files.as_deref(), &scratch)?;
        let plan = Plan {
            name: &format!("{}-{}", self.guest, options.name),
            hardware: &self.hardware,
            image: &self.image,
            memory: Memory::CloneOf(&template.memory()),
            root,
        };
        let machine = start(&plan, &disks, &scratch, Expect::Running, options.pulse_deadline)?;
        let version = &self.hardware.version;
        let thawed = template.thaw(&machine.qemu.monitor, version).map_err(VmError::from);
        thawed.map_err(|error| explain(&machine, error)).map_err(LabError::vm("clone"))?;
        machine.set_clock().map_err(LabError::vm("clone"))?;
        if options.files.is_some() {
            let unpack = Ask::Unpack { from: "/dev/vdb".into(), into: "/".into() };
            machine.ask(unpack, UNPACK_PATIENCE).map_err(LabError::vm("clone"))?;
        }
        let vm = Vm::new(machine, scratch);
        if let Some(bytes_per_second) = options.swap_throttle {
            vm.throttle_swap(bytes_per_second).map_err(LabError::vm("clone"))?;
        }
        Ok(vm)
    }

    /// A machine that really boots, up to the moment its agent answers: what a clone is compared with.
    ///
    /// # Errors
    /// QEMU does not start, or the guest does not boot.
    pub fn boot_cold(&self) -> Result<Vm, LabError> {
        let disk = self.image.disk();
        let root = Root::Throwaway { file: &disk, format: "raw" };
        boot(&self.cache, self.guest, &self.image, &self.hardware, Memory::Private, root, &|_| {})
    }
}

/// A template fits exactly the machine that made it. Kernel, initrd and disk are named by the image's build; sockets and scratch
/// paths are the same empty ones for everybody.
fn template_key(image: &Image, hardware: &Hardware) -> String {
    let nowhere = PathBuf::new();
    let root = Root::Kept(&nowhere);
    let plan = Plan { name: "", hardware, image, memory: Memory::Template(&nowhere), root };
    let ports = Ports { console: 0, monitor: 0, control: 0, data: 0 };
    let line = plan.arguments(&(nowhere.clone(), nowhere.clone()), ports);
    let digest = Digest::new().field(TEMPLATE).field(&image.build).field(&hardware.version.full);
    let digest = digest.field(accel::processor_key(hardware.accelerator));
    digest.fields(line).to_string()
}

fn start(
    plan: &Plan<'_>,
    disks: &(PathBuf, PathBuf),
    scratch: &Scratch,
    expect: Expect,
    pulse_deadline: Duration,
) -> Result<Machine, LabError> {
    let (qemu, links) = Qemu::start(scratch.path(), |ports| plan.arguments(disks, ports))
        .map_err(LabError::file("run", "qemu-system-x86_64".as_ref()))?;
    Machine::new(qemu, links, expect, pulse_deadline).map_err(LabError::file("attach to", scratch.path()))
}

/// A monitor that is gone says less than the machine's own end.
fn explain(machine: &Machine, error: VmError) -> VmError {
    match error {
        VmError::Qmp(crate::qmp::QmpError::Gone(_)) => machine.failure(),
        error => error,
    }
}

/// Starts a machine and waits for its agent.
fn boot(
    cache: &Cache,
    guest: Guest,
    image: &Image,
    hardware: &Hardware,
    memory: Memory<'_>,
    root: Root<'_>,
    on: Listener<'_>,
) -> Result<Vm, LabError> {
    let scratch = cache.scratch()?;
    let disks = snapshot::make_disks(image, None, &scratch)?;
    let name = format!("{guest}-boot");
    let plan = Plan { name: &name, hardware, image, memory, root };
    on(Event::BootStart { guest });
    let machine = start(&plan, &disks, &scratch, Expect::Start, PULSE_DEADLINE)?;
    let mut cursor = 0;
    while !machine.agent.wait_there(GLANCE) {
        machine.qemu.console.lines_since(&mut cursor, |line| on(Event::Boot { line }));
        if machine.agent.closed().is_some() {
            return Err(LabError::vm("boot")(machine.failure()));
        }
        if machine.qemu.started.elapsed() > BOOT_PATIENCE {
            let console = machine.qemu.console.tail(60);
            return Err(LabError::vm("boot")(VmError::Hang { after: BOOT_PATIENCE, console }));
        }
    }
    on(Event::BootEnd { took: machine.qemu.started.elapsed() });
    Ok(Vm::new(machine, scratch))
}

/// A boot may fail for reasons of the host's: it is tried once more.
fn twice(on: Listener<'_>, make: impl Fn() -> Result<(), LabError>) -> Result<(), LabError> {
    match make() {
        Err(error @ (LabError::Vm { .. } | LabError::Unhealthy(_))) => {
            on(Event::BootRetry { why: &error.to_string() });
            make()
        }
        made => made,
    }
}

/// Boots the disk of a template, waits until the guest has settled, and freezes it.
fn boot_and_freeze(
    cache: &Cache,
    guest: Guest,
    image: &Image,
    hardware: &Hardware,
    template: &Template,
    health: &[(&str, &str)],
    on: Listener<'_>,
) -> Result<(), LabError> {
    let (memory, disk) = (template.memory(), template.disk());
    let vm = boot(cache, guest, image, hardware, Memory::Template(&memory), Root::Kept(&disk), on)?;
    settle(&vm, health)?;
    on(Event::Settled { took: vm.machine().qemu.started.elapsed() });
    template.freeze(&vm, &hardware.version)
}

/// What is frozen is in every clone: a guest is frozen only in good health.
fn settle(vm: &Vm, health: &[(&str, &str)]) -> Result<(), LabError> {
    for (what, script) in health {
        let command = Command::sh(*script).timeout(BOOT_PATIENCE);
        let (exit, output) = vm.output(&command).map_err(LabError::vm("boot"))?;
        if !exit.success() {
            return Err(LabError::Unhealthy(format!("{what} ({exit}): {}", output.trim_end())));
        }
    }
    Ok(())
}

const HEALTH: &[(&str, &str)] = &[
    (
        "the system is not running",
        "systemctl is-system-running --wait || { systemctl --no-legend list-units --failed; exit 1; }",
    ),
    ("there is no memory controller", "grep -qw memory /sys/fs/cgroup/cgroup.controllers"),
    ("there is no memory pressure to read", "cat /proc/pressure/memory"),
    ("systemd-oomd is not active", "systemctl is-active systemd-oomd.service && oomctl >/dev/null"),
    ("the ssh server is not active", "systemctl is-active ssh.service"),
    // What the first command of every clone needs is in memory then, and nothing waits to be written.
    ("the disk cannot be synced", "tar --version >/dev/null; sync"),
];
