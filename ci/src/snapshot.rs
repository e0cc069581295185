//! A booted, settled guest → a template on disk → any number of clones of it.
//!
//! A template is guest RAM in a file, the state of the devices beside it, and a disk overlay. A clone maps the RAM file
//! privately and writes its disk to a file without a name, so it starts in the time it takes to load half a megabyte,
//! and no clone sees another's writes. Clones share machine id, boot id and the state of the random number generator;
//! for scenarios in throwaway guests that is harmless, and nothing secret should be made in one.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cache::Scratch;
use crate::image::Image;
use crate::qemu::{FILES_BYTES, Hardware, Memory, Root, SWAP_BYTES, Version};
use crate::qmp::{Qmp, QmpError};
use crate::vm::{Vm, VmError};
use crate::{LabError, image, qemu};

const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(2);

/// The files of a template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    directory: PathBuf,
}

impl Template {
    pub(crate) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn memory(&self) -> PathBuf {
        self.directory.join("ram")
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Removes what a try that failed has left.
    pub(crate) fn clear(&self) {
        for file in [self.memory(), self.disk(), self.state()] {
            let _ = fs::remove_file(file);
        }
    }

    /// Makes the overlay that the template's guest writes to.
    pub(crate) fn make_disk(&self, image: &Image) -> Result<(), LabError> {
        qemu_img(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b"], &[&beside(image), &self.disk()])
    }

    /// Makes an overlay on the disk of another template.
    pub(crate) fn make_disk_on(&self, other: &Self) -> Result<(), LabError> {
        qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"], &[&other.disk(), &self.disk()])
    }

    /// Takes over what the overlay has from the disk of another template, which may be gone then.
    pub(crate) fn stand_alone(&self, image: &Image) -> Result<(), LabError> {
        qemu_img(&["rebase", "-q", "-f", "qcow2", "-F", "raw", "-b"], &[&beside(image), &self.disk()])
    }

    /// Stops a guest for good and saves all of it but its memory, which is in its file already.
    pub(crate) fn freeze(&self, vm: &Vm, version: &Version) -> Result<(), LabError> {
        let monitor = &vm.machine().qemu.monitor;
        save(monitor, &address(version, Direction::Out, &self.state())).map_err(LabError::vm("template"))?;
        vm.machine().qemu.wait(PATIENCE);
        for file in [self.memory(), self.disk(), self.state()] {
            // A guard: what every clone starts from is not for writing. QEMU before 9 opens a RAM file for writing
            // also when it maps it privately, and could not open it then.
            let mode = if version.major >= 9 { 0o444 } else { 0o644 };
            fs::set_permissions(&file, Permissions::from_mode(mode))
                .map_err(LabError::file("change", &file))?;
        }
        Ok(())
    }

    /// Loads the state into a QEMU that waits for it, and lets the guest go on.
    pub(crate) fn thaw(&self, monitor: &Qmp, version: &Version) -> Result<(), QmpError> {
        share_memory(monitor)?;
        monitor
            .execute("migrate-incoming", &json!({"uri": address(version, Direction::In, &self.state())}))?;
        poll(|| Ok(monitor.status()? != "inmigrate"))?;
        monitor.execute("cont", &json!({})).map(drop)
    }
}

/// The disk of an image as a template names it: relative, since template and image lie side by side, and the template is
/// renamed when it is complete.
fn beside(image: &Image) -> PathBuf {
    let backing = image.disk();
    Path::new("..").join(backing.strip_prefix(image.parent()).unwrap_or(&backing))
}

fn qemu_img(words: &[&str], paths: &[&Path]) -> Result<(), LabError> {
    let output = Command::new("qemu-img").args(words).args(paths).output();
    let output = output.map_err(|_| LabError::Missing { program: "qemu-img" })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    let status = output.status.to_string();
    Err(LabError::Tool { program: "qemu-img", step: "template", status, output: words })
}

fn save(monitor: &Qmp, address: &str) -> Result<(), VmError> {
    monitor.execute("stop", &json!({}))?;
    share_memory(monitor)?;
    monitor.execute("migrate", &json!({"uri": address}))?;
    poll(|| {
        let answer = monitor.execute("query-migrate", &json!({}))?;
        match answer["status"].as_str() {
            Some("completed") => Ok(true),
            Some("failed" | "cancelled") => {
                let why = answer["error-desc"].as_str().unwrap_or("no reason given").to_owned();
                Err(QmpError::Refused { command: "migrate".into(), why })
            }
            _ => Ok(false),
        }
    })?;
    // The answer may be overtaken by the end.
    match monitor.execute("quit", &json!({})) {
        Ok(_) | Err(QmpError::Gone(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The stream leaves out memory that both ends see in the same file.
fn share_memory(monitor: &Qmp) -> Result<(), QmpError> {
    let capabilities = json!({"capabilities": [{"capability": "x-ignore-shared", "state": true}]});
    monitor.execute("migrate-set-capabilities", &capabilities).map(drop)
}

fn poll(mut done: impl FnMut() -> Result<bool, QmpError>) -> Result<(), QmpError> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > PATIENCE {
            return Err(QmpError::Silent("the end of a migration".into()));
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    In,
    Out,
}

fn address(version: &Version, direction: Direction, file: &Path) -> String {
    let file = file.display().to_string();
    match direction {
        _ if version.migrates_to_files() => format!("file:{file}"),
        Direction::In => format!("exec:cat {}", shell_quote(&file)),
        Direction::Out => format!("exec:cat > {}", shell_quote(&file)),
    }
}

fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Makes the two disks that are a clone's own: the tar it is given, and its empty swap.
pub(crate) fn make_disks(
    image: &Image,
    files: Option<&Path>,
    scratch: &Scratch,
) -> Result<(PathBuf, PathBuf), LabError> {
    let disk = scratch.path().join("files");
    if let Some(tar) = files {
        let bytes = fs::copy(tar, &disk).map_err(LabError::file("copy", tar))?;
        if bytes > FILES_BYTES {
            return Err(LabError::FilesTooLarge { path: tar.to_owned(), bytes, limit: FILES_BYTES });
        }
    }
    let swap = scratch.path().join("swap");
    let header = image.swap_header();
    fs::copy(&header, &swap).map_err(LabError::file("copy", &header))?;
    for (path, bytes) in [(&disk, FILES_BYTES), (&swap, SWAP_BYTES)] {
        let file = File::options().create(true).append(true).open(path);
        file.and_then(|file| file.set_len(bytes)).map_err(LabError::file("write", path))?;
    }
    Ok((disk, swap))
}

/// The command line of one of our machines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) hardware: &'a Hardware,
    pub(crate) image: &'a Image,
    pub(crate) memory: Memory<'a>,
    pub(crate) root: Root<'a>,
}

impl Plan<'_> {
    pub(crate) fn arguments(&self, disks: &(PathBuf, PathBuf), ports: qemu::Ports) -> Vec<String> {
        qemu::arguments(&qemu::Machine {
            name: self.name,
            hardware: self.hardware,
            memory: self.memory,
            kernel: &self.image.kernel(),
            initrd: &self.image.initrd(),
            kernel_arguments: &image::kernel_arguments(),
            root: self.root,
            files: &disks.0,
            swap: &disks.1,
            ports,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("QEMU emulator version 10.0.2", "file:/c/it's")]
    #[case("QEMU emulator version 7.2.22", r"exec:cat > '/c/it'\''s'")]
    fn each_qemu_is_given_an_address_it_knows(#[case] version: &str, #[case] expected: &str) {
        assert_eq!(address(&version.parse().unwrap(), Direction::Out, Path::new("/c/it's")), expected);
    }
}
