//! Files whose pages are in nobody's page cache yet, so that the first to read them pays for them.
//!
//! Page cache is charged to the cgroup of its first toucher and stays there. A program that is warm costs the hog
//! nothing and can never be reclaimed from it; a cold one becomes the hog's own reclaimable file pages.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Copies a program and drops the copy from the page cache.
///
/// # Errors
/// When it cannot be read or written.
pub fn cold_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    cool(to)
}

/// How much is written before the disk is waited for: an interruption is heard then, and little of it is dirty memory.
const PART: u64 = 64 << 20;

/// Makes a file of `bytes` bytes and drops it from the page cache. Goes on only as long as `wanted` says so.
///
/// # Errors
/// When it cannot be written; [`io::ErrorKind::Interrupted`] when it is not wanted any more.
pub fn cold_file(path: &Path, bytes: u64, wanted: &dyn Fn() -> bool) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = [0xA5; 64 << 10];
    let mut written = 0;
    while written < bytes {
        if !wanted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let part = usize::try_from(bytes - written).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..part])?;
        written += part as u64;
        if written % PART == 0 {
            file.sync_data()?;
        }
    }
    drop(file);
    cool(path)
}

/// Only clean pages can be dropped: written back first.
fn cool(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_cold_file_has_exactly_its_size() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("data");
        cold_file(&path, (64 << 10) + 1, &|| true).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").len(), (64 << 10) + 1);
    }

    #[test]
    fn a_file_of_any_size_is_given_up_at_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("data");
        let asked = Cell::new(0);
        let wanted = || asked.replace(asked.get() + 1) < 3;
        let error = cold_file(&path, u64::MAX, &wanted).expect_err("given up");
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert_eq!(fs::metadata(&path).expect("there").len(), 3 * (64 << 10));
    }
}
