//! Our init and the modules that the root disk and the agent's ports need → a cpio archive.
//!
//! Which drivers are modules differs between kernels; those that are built in have no file and are left out.

use std::fs;
use std::path::Path;

use crate::LabError;

use super::kernel::decompress;

/// In the order they are wanted; what they depend on goes first.
const WANTED: &[&str] = &["virtio_pci", "virtio_blk", "virtio_console", "ext4"];

/// Writes the archive.
pub(crate) fn build(tree: &Path, init: &Path, into: &Path) -> Result<(), LabError> {
    let mut archive = Archive::default();
    archive.directory("modules");
    let init = fs::read(init).map_err(LabError::file("read", init))?;
    archive.file("init", 0o755, &init);
    let directory = module_directory(tree)?;
    let list = directory.join("modules.dep");
    let list = fs::read_to_string(&list).map_err(LabError::file("read", &list))?;
    for (n, module) in load_order(&list).iter().enumerate() {
        let path = directory.join(module);
        let packed = fs::read(&path).map_err(LabError::file("read", &path))?;
        let bytes = if module.ends_with(".xz") { decompress("xz", &packed)? } else { packed };
        archive.file(&format!("modules/{n:02}-{}", stem(module)), 0o644, &bytes);
    }
    fs::write(into, archive.finish()).map_err(LabError::file("write", into))
}

fn module_directory(tree: &Path) -> Result<std::path::PathBuf, LabError> {
    let modules = tree.join("usr/lib/modules");
    let mut versions = fs::read_dir(&modules).map_err(LabError::file("list", &modules))?;
    let version = versions.find_map(Result::ok).ok_or(std::io::ErrorKind::NotFound.into());
    version.map(|version| version.path()).map_err(LabError::file("find a kernel's modules in", &modules))
}

/// `modules.dep` → the files to load, each after those it depends on. A line is `FILE: FILE…`, where every file comes
/// before the ones *it* depends on.
fn load_order(list: &str) -> Vec<&str> {
    let mut order: Vec<&str> = Vec::new();
    for wanted in WANTED {
        let line =
            list.lines().filter_map(|line| line.split_once(':')).find(|(file, _)| stem(file) == *wanted);
        let Some((file, needs)) = line else { continue };
        for module in needs.split_ascii_whitespace().rev().chain([file]) {
            if !order.contains(&module) {
                order.push(module);
            }
        }
    }
    order
}

/// `kernel/fs/ext4/ext4.ko.xz` → `ext4`.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name)
}

/// A cpio archive in the "newc" format (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, permissions: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | permissions, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name_size = name.len() + 1;
        // magic, inode, mode, uid, gid, links, mtime, size, device (2), node's device (2), name size, checksum
        let head = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}",
            self.entries,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            0
        );
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_need_and_only_once() {
        let list = "kernel/drivers/block/virtio_blk.ko: kernel/virtio/virtio_ring.ko kernel/virtio/virtio.ko\n\
                    kernel/drivers/virtio/virtio_pci.ko: kernel/virtio/legacy.ko kernel/virtio/virtio_ring.ko kernel/virtio/virtio.ko\n\
                    kernel/fs/overlayfs/overlay.ko.xz:\n";
        let order: Vec<_> = load_order(list).into_iter().map(stem).collect();
        assert_eq!(order, ["virtio", "virtio_ring", "legacy", "virtio_pci", "virtio_blk"]);
    }

    #[test]
    fn the_archive_is_newc_with_everything_aligned() {
        let mut archive = Archive::default();
        archive.directory("modules");
        archive.file("modules/00-a", 0o644, b"12345");
        let text = String::from_utf8(archive.finish()).unwrap().replace('\0', ".");
        let zeros = |n| "00000000".repeat(n);
        let expected = [
            &format!("07070100000001000041ed{}00000001{}00000008{}modules...", zeros(2), zeros(6), zeros(1)),
            &format!(
                "07070100000002000081a4{}00000001{}00000005{}0000000d{}",
                zeros(2),
                zeros(1),
                zeros(4),
                zeros(1)
            ),
            "modules/00-a..12345...",
            &format!("07070100000003{}00000001{}0000000b{}TRAILER!!!....", zeros(3), zeros(6), zeros(1)),
        ];
        assert_eq!(text, expected.concat());
    }
}
