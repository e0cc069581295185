//! The package's bzImage → the vmlinux inside it, which QEMU starts at its PVH entry point.
//!
//! An emulated processor takes half a second to unpack its own kernel. (Layout: Linux `Documentation/arch/x86/boot.rst`.)

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::LabError;

use super::tool;

/// Offsets in the real-mode header.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR: usize = 512;

/// The one kernel of an unpacked root.
pub(crate) fn find(tree: &Path) -> Result<PathBuf, LabError> {
    let boot = tree.join("boot");
    let files = fs::read_dir(&boot).map_err(LabError::file("list", &boot))?;
    files
        .filter_map(|file| Some(file.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
        .ok_or_else(|| LabError::Kernel { path: boot, why: "there is no vmlinuz-*".into() })
}

/// Writes the ELF kernel that an image carries.
pub(crate) fn extract(image: &Path, into: &Path) -> Result<(), LabError> {
    let bytes = fs::read(image).map_err(LabError::file("read", image))?;
    let damaged = |why: &str| LabError::Kernel { path: image.to_owned(), why: why.to_owned() };
    let payload = payload(&bytes).map_err(damaged)?;
    let program =
        decompressor(payload).ok_or_else(|| damaged("it is not compressed with xz, zstd, lz4 or gzip"))?;
    let vmlinux = decompress(program, payload)?;
    if !vmlinux.starts_with(b"\x7fELF") {
        return Err(damaged("its payload is not an ELF file"));
    }
    fs::write(into, vmlinux).map_err(LabError::file("write", into))
}

/// The compressed kernel, without the four bytes of its unpacked size that follow it.
fn payload(image: &[u8]) -> Result<&[u8], &'static str> {
    let word = |at: usize| -> Option<usize> {
        Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    if image.get(MAGIC..MAGIC + 4) != Some(b"HdrS") {
        return Err("it has no boot header");
    }
    let setup = usize::from(image[SETUP_SECTORS]).max(1);
    let (offset, length) =
        word(PAYLOAD_OFFSET).zip(word(PAYLOAD_LENGTH)).ok_or("its boot header is too old")?;
    let start = (setup + 1) * SECTOR + offset;
    image.get(start..start + length.saturating_sub(4)).ok_or("its payload lies outside the file")
}

fn decompressor(payload: &[u8]) -> Option<&'static str> {
    match payload {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        // The format of before LZ4 frames, which the kernel still writes.
        [0x02, 0x21, 0x4c, 0x18, ..] => Some("lz4"),
        [0x1f, 0x8b, ..] => Some("gzip"),
        _ => None,
    }
}

/// Also unpacks the kernel's modules.
pub(crate) fn decompress(program: &'static str, bytes: &[u8]) -> Result<Vec<u8>, LabError> {
    let mut command = Command::new(program);
    command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| tool::not_started(program, error))?;
    let mut input = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early says why on its own; what is lost here is only a broken pipe.
            let _ = input.as_mut().map(|input| input.write_all(bytes));
        });
        child.wait_with_output()
    });
    let output = output.map_err(|error| tool::not_started(program, error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(LabError::Tool { program, step: "kernel", status: output.status.to_string(), output: words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR + 16];
        image[SETUP_SECTORS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
        let length = u32::try_from(payload.len() + 4).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(&[9; 4]);
        image
    }

    #[test]
    fn the_payload_lies_where_the_header_says() {
        assert_eq!(payload(&image(b"kernel")), Ok(b"kernel".as_slice()));
    }

    #[test]
    fn a_file_that_is_no_kernel_is_refused() {
        assert_eq!(payload(b"short"), Err("it has no boot header"));
        let mut cut = image(b"kernel");
        cut.truncate(2 * SECTOR + 18);
        assert_eq!(payload(&cut), Err("its payload lies outside the file"));
        assert_eq!(decompressor(b"plain"), None);
    }
}
