//! Text → the whole content of a file: another file takes its place in one step, or it is written over and never cut short.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// The directory that holds a file.
pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file beside the place of a new one. Readable as any file a program makes: the umask takes away what the user wants
/// taken away.
pub(super) fn scratch(directory: &Path) -> io::Result<NamedTempFile> {
    let mode = Permissions::from_mode(0o666);
    Builder::new().prefix(".bulkhead-report-").permissions(mode).tempfile_in(directory)
}

/// A file that may take the place of the one at `path`: it has the same owner and mode.
pub(super) fn successor(path: &Path, found: &Metadata) -> io::Result<NamedTempFile> {
    let next = scratch(directory(path))?;
    let made = next.as_file().metadata()?;
    if (made.uid(), made.gid()) != (found.uid(), found.gid()) {
        fchown(next.as_file(), Some(found.uid()), Some(found.gid()))?;
    }
    next.as_file().set_permissions(Permissions::from_mode(found.mode() & 0o7777))?;
    Ok(next)
}

/// Writes over a file that has to stay. The space is there before the first byte of the old content goes.
pub(super) fn overwrite(file: &mut File, text: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let length = text.len() as u64;
    if length > before
        && let Err(error) = allocate(file, before, length - before)
    {
        file.set_len(before)?;
        return Err(error);
    }
    file.rewind()?;
    file.write_all(text)?;
    file.set_len(length)?;
    file.sync_all()
}

/// Reserves space by writing it: what `fallocate` promises is not to be had on every file system.
fn allocate(file: &mut File, at: u64, mut bytes: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    let blanks = [b' '; 4096];
    while bytes > 0 {
        let part = bytes.min(blanks.len() as u64);
        file.write_all(&blanks[..part as usize])?;
        bytes -= part;
    }
    file.sync_all()
}
