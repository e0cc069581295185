//! What a machine is to be → QEMU's command line. Pure: nothing in here starts anything.

mod version;

use std::os::fd::RawFd;
use std::path::Path;

pub(crate) use version::Version;

/// Guest RAM, unless an installation asks for more. Policies for larger machines run as a scale model.
pub const MEMORY_BYTES: u64 = 2 << 30;
/// What a machine may come to take of its host's memory: its RAM, and what QEMU needs for itself, most of it for translated
/// code and what its disks have in flight.
pub const MACHINE_BYTES: u64 = MEMORY_BYTES + (256 << 20);
/// Size of the disk that a tar travels on. The guest learns a disk's size once, before the template is frozen, so it
/// is the same in every clone; the file is sparse.
pub(crate) const FILES_BYTES: u64 = 256 << 20;
/// Size of the swap device; the file is sparse.
pub(crate) const SWAP_BYTES: u64 = 1 << 30;
/// The swap device, as `block_set_io_throttle` wants it named: what reads and writes is the device that the PCI one wraps.
pub(crate) const SWAP_PATH: &str = "/machine/peripheral/swap-disk/virtio-backend";

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// The part of a machine that a saved state depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) version: Version,
    pub(crate) accelerator: Accelerator,
    /// Guest RAM, bytes.
    pub(crate) memory: u64,
}

/// Where guest memory lives.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory<'a> {
    /// In QEMU's process; gone with it.
    Private,
    /// In a file that a template is made of.
    Template(&'a Path),
    /// A private copy-on-write view of a template's file.
    CloneOf(&'a Path),
}

/// The root disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Root<'a> {
    /// Writes go to this qcow2 file.
    Kept(&'a Path),
    /// Writes go to a file without a name that is gone with the process.
    Throwaway { file: &'a Path, format: &'a str },
}

/// Inherited ends of socket pairs. Sockets without a path leave nothing behind, and each end learns when the other
/// one is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) console: RawFd,
    pub(crate) monitor: RawFd,
    pub(crate) control: RawFd,
    pub(crate) data: RawFd,
}

/// A whole machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine<'a> {
    pub(crate) name: &'a str,
    pub(crate) hardware: &'a Hardware,
    pub(crate) memory: Memory<'a>,
    pub(crate) kernel: &'a Path,
    pub(crate) initrd: &'a Path,
    pub(crate) kernel_arguments: &'a str,
    pub(crate) root: Root<'a>,
    pub(crate) files: &'a Path,
    pub(crate) swap: &'a Path,
    pub(crate) ports: Ports,
}

impl Hardware {
    /// QEMU 7.2 loses about one of ninety emulated boots with two processors (a race in text patching); 10.0 none.
    pub(crate) fn processors(&self) -> u32 {
        match self.accelerator {
            Accelerator::Tcg if self.version.major < 10 => 1,
            Accelerator::Tcg | Accelerator::Kvm => 2,
        }
    }

    fn processor(&self) -> &'static str {
        match self.accelerator {
            Accelerator::Kvm => "host",
            // The emulated cmpxchg16b of 7.2 leaves garbage in EFLAGS, which the kernel's slab allocator trips over.
            Accelerator::Tcg if self.version.major < 10 => "max,-cx16",
            Accelerator::Tcg => "max",
        }
    }

    fn accelerator(&self) -> &'static str {
        match self.accelerator {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg,thread=multi",
        }
    }

    /// A saved state fits only the machine type of the same version, hence no plain "q35".
    /// What is switched off is hardware that the guest's kernel would spend time on finding.
    fn board(&self) -> String {
        let Version { major, minor, .. } = self.version;
        format!("pc-q35-{major}.{minor},memory-backend=ram,usb=off,sata=off,smbus=off,vmport=off")
    }
}

/// The command line of a machine, without the program itself. A clone waits for its state (`-incoming defer`).
pub(crate) fn arguments(machine: &Machine<'_>) -> Vec<String> {
    let mut line = Line::default();
    bare(&mut line, machine.hardware, machine.ports);
    line.add("-name", format!("bulkhead-{}", escape(machine.name)));
    line.add("-m", format!("{}M", machine.hardware.memory >> 20));
    line.add("-object", memory_object(machine.memory, machine.hardware.memory));
    line.add("-kernel", machine.kernel.display().to_string());
    line.add("-initrd", machine.initrd.display().to_string());
    line.add("-append", machine.kernel_arguments);

    // Addresses are fixed, so that the guest's /dev/vda, vdb and vdc never change places.
    // cache=unsafe: the guest's disk need not survive the host; a template is saved ten times as fast.
    let root = match machine.root {
        Root::Kept(file) => format!("file={},format=qcow2", escape_path(file)),
        Root::Throwaway { file, format } => format!("file={},format={format},snapshot=on", escape_path(file)),
    };
    line.add("-drive", format!("id=root,if=none,cache=unsafe,{root}"));
    line.add("-device", "virtio-blk-pci,id=root-disk,drive=root,addr=4");
    let files = escape_path(machine.files);
    line.add("-drive", format!("id=files,if=none,format=raw,readonly=on,file={files}"));
    line.add("-device", "virtio-blk-pci,id=files-disk,drive=files,addr=5");
    let swap = escape_path(machine.swap);
    line.add("-drive", format!("id=swap,if=none,cache=unsafe,format=raw,file={swap}"));
    line.add("-device", "virtio-blk-pci,id=swap-disk,drive=swap,addr=6");

    line.add("-device", "virtio-serial-pci,id=ports,addr=7,max_ports=3");
    for (n, (id, name, fd)) in [
        ("control", crate::wire::CONTROL_PORT, machine.ports.control),
        ("data", crate::wire::DATA_PORT, machine.ports.data),
    ]
    .into_iter()
    .enumerate()
    {
        line.add("-chardev", format!("socket,id={id},fd={fd}"));
        line.add(
            "-device",
            format!("virtserialport,id={id}-port,bus=ports.0,nr={},chardev={id},name={name}", n + 1),
        );
    }
    if let Memory::CloneOf(_) = machine.memory {
        line.add("-incoming", "defer");
    }
    line.0
}

/// The command line of a machine that does nothing but try to start a kernel.
pub(crate) fn probe_arguments(hardware: &Hardware, kernel: &Path, ports: Ports) -> Vec<String> {
    let mut line = Line::default();
    bare(&mut line, hardware, ports);
    line.add("-name", "bulkhead-probe");
    line.add("-m", "256M");
    line.add("-object", "memory-backend-ram,id=ram,size=268435456");
    line.add("-kernel", kernel.display().to_string());
    line.add("-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1");
    line.0
}

/// What every machine has: processors, a console, a monitor, and nothing that was not asked for.
fn bare(line: &mut Line, hardware: &Hardware, ports: Ports) {
    line.flag("-nodefaults");
    line.flag("-no-user-config");
    line.add("-display", "none");
    // A guest that panics or restarts ends the process; its console tells which of the two it was.
    line.flag("-no-reboot");
    line.add("-machine", hardware.board());
    line.add("-accel", hardware.accelerator());
    line.add("-cpu", hardware.processor());
    line.add("-smp", hardware.processors().to_string());

    line.add("-chardev", format!("socket,id=console,fd={}", ports.console));
    line.add("-serial", "chardev:console");
    line.add("-chardev", format!("socket,id=monitor,fd={}", ports.monitor));
    line.add("-mon", "chardev=monitor,mode=control");
}

fn memory_object(memory: Memory<'_>, bytes: u64) -> String {
    let backed = |file: &Path, share: &str| {
        format!("memory-backend-file,id=ram,size={bytes},mem-path={},share={share}", escape_path(file))
    };
    match memory {
        Memory::Private => format!("memory-backend-ram,id=ram,size={bytes}"),
        Memory::Template(file) => backed(file, "on"),
        Memory::CloneOf(file) => backed(file, "off"),
    }
}

/// QEMU reads a doubled comma as a comma in a value.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

fn escape_path(path: &Path) -> String {
    escape(&path.display().to_string())
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.to_owned());
    }

    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.to_owned(), value.into()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(memory: Memory<'_>, root: Root<'_>, version: &str, accelerator: Accelerator) -> String {
        let hardware = Hardware { version: version.parse().unwrap(), accelerator, memory: MEMORY_BYTES };
        let machine = Machine {
            name: "trixie-one",
            hardware: &hardware,
            memory,
            kernel: Path::new("/image/vmlinux"),
            initrd: Path::new("/image/initrd"),
            kernel_arguments: "console=ttyS0 quiet",
            root,
            files: Path::new("/scratch/files, with a comma"),
            swap: Path::new("/scratch/swap"),
            ports: Ports { console: 3, monitor: 4, control: 5, data: 6 },
        };
        arguments(&machine).join(" ").replace(" -", "\n-")
    }

    const V10: &str = "QEMU emulator version 10.0.2";
    const V7: &str = "QEMU emulator version 7.2.22";

    #[test]
    fn a_clone_under_emulation() {
        let root = Root::Throwaway { file: Path::new("/template/disk.qcow2"), format: "qcow2" };
        insta::assert_snapshot!(shown(
            Memory::CloneOf(Path::new("/template/ram")),
            root,
            V10,
            Accelerator::Tcg
        ));
    }

    #[test]
    fn a_template_on_an_old_qemu() {
        let root = Root::Kept(Path::new("/template/disk.qcow2"));
        insta::assert_snapshot!(shown(
            Memory::Template(Path::new("/template/ram")),
            root,
            V7,
            Accelerator::Tcg
        ));
    }

    #[test]
    fn a_cold_boot_on_kvm() {
        let root = Root::Throwaway { file: Path::new("/image/disk.raw"), format: "raw" };
        insta::assert_snapshot!(shown(Memory::Private, root, V10, Accelerator::Kvm));
    }

    #[test]
    fn a_probe() {
        let hardware =
            Hardware { version: V10.parse().unwrap(), accelerator: Accelerator::Kvm, memory: MEMORY_BYTES };
        let ports = Ports { console: 3, monitor: 4, control: 5, data: 6 };
        let line = probe_arguments(&hardware, Path::new("/image/vmlinux"), ports);
        insta::assert_snapshot!(line.join(" ").replace(" -", "\n-"));
    }

    #[test]
    fn a_template_and_its_clone_differ_only_in_memory_root_and_waiting() {
        let root = Root::Kept(Path::new("/t/disk.qcow2"));
        let template = shown(Memory::Template(Path::new("/t/ram")), root, V10, Accelerator::Tcg);
        let root = Root::Throwaway { file: Path::new("/t/disk.qcow2"), format: "qcow2" };
        let clone = shown(Memory::CloneOf(Path::new("/t/ram")), root, V10, Accelerator::Tcg);
        let only_in_clone: Vec<_> =
            clone.lines().filter(|line| !template.lines().any(|other| other == *line)).collect();
        assert_eq!(
            only_in_clone,
            [
                "-object memory-backend-file,id=ram,size=2147483648,mem-path=/t/ram,share=off",
                "-drive id=root,if=none,cache=unsafe,file=/t/disk.qcow2,format=qcow2,snapshot=on",
                "-incoming defer",
            ]
        );
    }
}
