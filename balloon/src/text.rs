//! The program's own code and constants: locked in memory, or in a private copy that the kernel may evict. Which
//! cgroup pays for these pages decides what reclaim finds there, so this says nothing about the cgroup: the
//! caller is in the right one when it calls.

use crate::options::Text;
use crate::trouble::Trouble;
use nix::errno::Errno;
use nix::sys::mman::mlock;
use std::io;
use std::num::ParseIntError;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr::NonNull;

const PAGE: usize = 4096;
const PAGES: usize = 128;

/// 512 KiB of constants, one meaningful byte to the page: what a program of ordinary size keeps reading while it
/// works. The balloon's own loop is one page of code, and losing that alone would hardly be felt.
#[repr(C, align(4096))]
struct Bulk([[u8; PAGE]; PAGES]);

static BULK: Bulk = Bulk(bulk());

const fn bulk() -> [[u8; PAGE]; PAGES] {
    let mut pages = [[0; PAGE]; PAGES];
    let mut page = 0;
    while page < PAGES {
        pages[page][0] = page as u8 ^ 0x5a;
        page += 1;
    }
    pages
}

/// Reads a byte of every page of [`BULK`], in both text modes alike, so that these differ in the locking only.
pub(crate) fn read() -> u64 {
    BULK.0.iter().map(|page| u64::from(volatile(&page[0]))).sum()
}

#[expect(unsafe_code, reason = "a read that the optimiser would otherwise do at compile time")]
fn volatile(byte: &u8) -> u8 {
    // SAFETY: a reference is valid for reads.
    unsafe { std::ptr::from_ref(byte).read_volatile() }
}

/// Pins the text, or leaves it to the kernel.
pub(crate) fn settle(text: Text) -> Result<(), Trouble> {
    match text {
        Text::Pinned => pin(),
        Text::Evictable => Ok(()),
    }
}

/// Locks every mapping of this program's own file. Locks are not inherited over fork(2): every child needs its own.
fn pin() -> Result<(), Trouble> {
    let program =
        std::env::current_exe().map_err(|error| Trouble::system("find its own program file", error))?;
    let maps = std::fs::read_to_string("/proc/self/maps")
        .map_err(|error| Trouble::system("read /proc/self/maps", error))?;
    for line in maps.lines().filter(|line| line.ends_with(&*program.to_string_lossy())) {
        let range = range(line).map_err(|error| {
            Trouble::system(format!("parse {line:?} in /proc/self/maps"), io::Error::other(error))
        })?;
        lock(range).map_err(|errno| {
            Trouble::system(
                "lock its own code in memory (--text pinned needs CAP_IPC_LOCK or a larger RLIMIT_MEMLOCK)",
                errno,
            )
        })?;
    }
    Ok(())
}

/// `start-end perms …` → addresses (proc_pid_maps(5)).
fn range(line: &str) -> Result<(usize, usize), ParseIntError> {
    let addresses = line.split(' ').next().unwrap_or_default();
    let (start, end) = addresses.split_once('-').unwrap_or((addresses, ""));
    Ok((usize::from_str_radix(start, 16)?, usize::from_str_radix(end, 16)?))
}

#[expect(unsafe_code, reason = "mlock takes an address")]
fn lock((start, end): (usize, usize)) -> Result<(), Errno> {
    let Some(address) = NonNull::new(std::ptr::without_provenance_mut(start)) else { return Ok(()) };
    // SAFETY: locking changes no contents, and the kernel refuses a range that is not mapped.
    unsafe { mlock(address, end - start) }
}

/// Becomes the program in `copy`, with the same arguments and --released. Returns only when that failed.
pub(crate) fn become_copy(copy: &Path) -> Trouble {
    let error = Command::new(copy).args(std::env::args_os().skip(1)).arg("--released").exec();
    Trouble::system(format!("become its own copy {}", copy.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_of_the_bulk_is_read() {
        assert_eq!(read(), (0..128).map(|page: u64| page ^ 0x5a).sum::<u64>());
    }

    #[test]
    fn a_line_of_the_maps_gives_its_addresses() {
        assert_eq!(range("7f00-8f00 r-xp 00000000 fe:00 12 /usr/bin/balloon"), Ok((0x7f00, 0x8f00)));
        assert!(range("nonsense").is_err());
    }

    #[test]
    fn pinning_locks_at_least_the_bulk() {
        pin().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let kib: usize = locked.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib * 1024 >= PAGE * PAGES, "{kib} KiB");
    }
}
