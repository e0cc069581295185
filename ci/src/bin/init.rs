//! The initrd's only program: loads the modules the root disk needs, mounts it and hands over to its init.
//!
//! The distribution's initrd does the same in two more seconds of an emulated boot, because it carries udev, a shell
//! and modules for hardware that is not there. This one does not look for anything: the root is `/dev/vda`, ext4.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount, umount};
use nix::unistd::{chdir, chroot};

const ROOT_DISK: &str = "/dev/vda";
const NEW_ROOT: &str = "/root";
const PATIENCE: Duration = Duration::from_secs(10);
const NOTHING: Option<&CStr> = None;

fn main() {
    let trouble = hand_over().err().map_or_else(String::new, |error| error.to_string());
    // The end of PID 1 is a kernel panic, which the host reads from the console together with this line.
    eprintln!("init: cannot start the root system: {trouble}");
    let _ = fs::write("/dev/kmsg", format!("<0>init: cannot start the root system: {trouble}\n"));
}

fn hand_over() -> io::Result<()> {
    for directory in ["/dev", NEW_ROOT] {
        fs::create_dir_all(directory)?;
    }
    mount(Some("devtmpfs"), "/dev", Some("devtmpfs"), MsFlags::empty(), NOTHING)?;
    load_modules()?;
    wait_for(Path::new(ROOT_DISK))?;
    mount(Some(ROOT_DISK), NEW_ROOT, Some("ext4"), MsFlags::MS_NOATIME, NOTHING)?;
    umount("/dev")?;

    // What stays in the initramfs stays in memory for the guest's whole life.
    fs::remove_dir_all("/modules")?;
    fs::remove_file("/init")?;

    chdir(NEW_ROOT)?;
    mount(Some("."), "/", NOTHING, MsFlags::MS_MOVE, NOTHING)?;
    chroot(".")?;
    chdir("/")?;
    Err(Command::new("/sbin/init").exec())
}

/// The file names start with a number that puts every module behind those it depends on.
fn load_modules() -> io::Result<()> {
    let mut modules =
        fs::read_dir("/modules")?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    modules.sort();
    for module in modules {
        finit_module(&File::open(&module)?, c"", ModuleInitFlags::empty())
            .map_err(|errno| io::Error::other(format!("{}: {errno}", module.display())))?;
    }
    Ok(())
}

/// The driver finds its disk some time after its module has been loaded.
fn wait_for(device: &Path) -> io::Result<()> {
    let start = Instant::now();
    while !device.exists() {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{} did not appear", device.display())));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
