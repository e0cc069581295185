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

/// Makes a file of `bytes` bytes and drops it from the page cache.
///
/// # Errors
/// When it cannot be written.
pub fn cold_file(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = [0xA5; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..part])?;
        left -= part as u64;
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
