//! Packages and our files → a raw ext4 disk, an uncompressed kernel, an initrd and a swap header.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::LabError;
use crate::event::{Event, Listener};
use crate::qemu::SWAP_BYTES;

use super::programs::Programs;
use super::recipe::Recipe;
use super::{initrd, kernel, tool};

/// Room for the packages (about 0.6 GiB) and what a scenario writes; the file is sparse.
const DISK_BYTES: u64 = 4 << 30;
const PAGE: usize = 4096;

/// Fills the directory of an image.
pub(crate) fn build(
    recipe: &Recipe,
    programs: &Programs,
    packages: &Path,
    into: &Path,
    on: Listener<'_>,
) -> Result<(), LabError> {
    let say = |step, line: &str| on(Event::ImageBuild { guest: recipe.guest, step, line });
    let tree = into.join("tree");
    fs::create_dir(&tree).map_err(LabError::file("create", &tree))?;
    say("disk", "");
    unpack(&packages.join("rootfs.tar"), &tree)?;
    place_files(recipe, programs, &tree)?;
    make_disk(&tree, &into.join("disk.raw"), &|line| say("disk", line))?;
    say("kernel", "");
    kernel::extract(&kernel::find(&tree)?, &into.join("vmlinux"))?;
    say("initrd", "");
    initrd::build(&tree, &programs.init, &into.join("initrd"))?;
    make_swap_header(into)?;
    write(&into.join("build"), build_id().as_bytes(), 0o644)?;
    fs::remove_dir_all(&tree).map_err(LabError::file("remove", &tree))
}

/// Two builds of one recipe are different disks. A template remembers what its guest had read of one of them, and must
/// never meet the other.
fn build_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", now.as_nanos(), std::process::id())
}

fn unpack(tar: &Path, tree: &Path) -> Result<(), LabError> {
    let mut command = Command::new("tar");
    command.args(["--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"]).arg(tar);
    command.arg("--directory").arg(tree);
    // Device nodes come from devtmpfs, and making them needs rights that a container lacks.
    command.arg("--exclude=./dev/*");
    tool::run("tar", "disk", &mut command, |_| {})
}

fn place_files(recipe: &Recipe, programs: &Programs, tree: &Path) -> Result<(), LabError> {
    for (path, text) in &recipe.files {
        write(&tree.join(path), text.as_bytes(), 0o644)?;
    }
    let agent = fs::read(&programs.agent).map_err(LabError::file("read", &programs.agent))?;
    write(&tree.join("usr/lib/bulkhead/agent"), &agent, 0o755)?;
    let units = tree.join("etc/systemd/system");
    link("../bulkhead-agent.service", &units.join("sysinit.target.wants/bulkhead-agent.service"))?;
    for unit in &recipe.masks {
        link("/dev/null", &units.join(unit))?;
    }
    for generator in &recipe.generators_off {
        link("/dev/null", &tree.join("etc/systemd/system-generators").join(generator))?;
    }
    // Younger than /usr, so that systemd takes the system for one that has been updated already (ConditionNeedsUpdate).
    write(&tree.join("etc/.updated"), b"", 0o644)?;
    write(&tree.join("var/.updated"), b"", 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), LabError> {
    make_parent(path)?;
    fs::write(path, bytes).map_err(LabError::file("write", path))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(LabError::file("change", path))
}

/// A mask takes the place of whatever the package put there.
fn link(to: &str, at: &Path) -> Result<(), LabError> {
    make_parent(at)?;
    if at.symlink_metadata().is_ok() {
        fs::remove_file(at).map_err(LabError::file("replace", at))?;
    }
    symlink(to, at).map_err(LabError::file("link", at))
}

fn make_parent(path: &Path) -> Result<(), LabError> {
    path.parent()
        .map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(LabError::file("create", parent)))
}

fn make_disk(tree: &Path, disk: &PathBuf, on_line: &dyn Fn(&str)) -> Result<(), LabError> {
    make_sparse(disk, DISK_BYTES)?;
    let mut command = Command::new("mkfs.ext4");
    // lazy_itable_init leaves work to the guest's kernel, which would do it while a scenario measures.
    command.args(["-q", "-F", "-L", "root", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"]);
    command.arg("-d").arg(tree).arg(disk).env("PATH", path_with_sbin());
    tool::run("mkfs.ext4", "disk", &mut command, on_line)
}

/// The clone's swap device is a sparse file of full size that starts with this page.
fn make_swap_header(into: &Path) -> Result<(), LabError> {
    let whole = into.join("swap");
    make_sparse(&whole, SWAP_BYTES)?;
    fs::set_permissions(&whole, Permissions::from_mode(0o600)).map_err(LabError::file("change", &whole))?;
    let mut command = Command::new("mkswap");
    command.arg(&whole).env("PATH", path_with_sbin());
    tool::run("mkswap", "disk", &mut command, |_| {})?;
    let mut header = vec![0; PAGE];
    let mut file = File::open(&whole).map_err(LabError::file("read", &whole))?;
    std::io::Read::read_exact(&mut file, &mut header).map_err(LabError::file("read", &whole))?;
    fs::write(into.join("swap-header"), header).map_err(LabError::file("write", into))?;
    fs::remove_file(&whole).map_err(LabError::file("remove", &whole))
}

fn make_sparse(path: &Path, bytes: u64) -> Result<(), LabError> {
    File::create(path).and_then(|file| file.set_len(bytes)).map_err(LabError::file("create", path))
}

/// A user's PATH may lack the directories where file system tools are.
fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
