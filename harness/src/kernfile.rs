//! A kernel text file (`/proc`, `/sys/fs/cgroup`) kept open and read again from its start.
//!
//! It turns an open descriptor into bytes in the caller's buffer with `pread(2)`, without allocating, so that it can be
//! used while the machine is out of memory. It interprets nothing but the two shapes that nearly all these files have:
//! one number, and one `key value` pair a line.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::uio::pread;

/// Bytes that hold any of the per-cgroup files: the longest, `memory.stat`, is about 2.5 KiB on Linux 6.12.
pub const BUFFER: usize = 8192;

/// An open kernel file.
#[derive(Debug)]
pub struct KernFile {
    file: File,
}

impl KernFile {
    /// Opens `path` for reading; `None` when this kernel does not have the file.
    ///
    /// # Errors
    /// Whatever `open(2)` says, except `ENOENT`.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens `name` below the open directory `dir`, so that a directory of the same name made later is not mistaken
    /// for it; `None` when the file does not exist.
    ///
    /// # Errors
    /// Whatever `openat(2)` says, except `ENOENT`.
    pub fn open_at(dir: BorrowedFd<'_>, name: &str) -> io::Result<Option<Self>> {
        match openat(dir, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { file: File::from(fd) })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads the file from its start with one system call. Enough for kernfs files, which are formatted whole on each
    /// read from offset 0.
    ///
    /// # Errors
    /// The errno of `pread(2)`: `ENODEV` from a removed cgroup, `EOPNOTSUPP` from a switched-off pressure file.
    pub fn read_once<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let length = retry(|| pread(&self.file, buffer, 0))?;
        Ok(&buffer[..length])
    }

    /// Reads the file from its start to its end or to the end of `buffer`. Needed for `/proc` files with many records,
    /// which the kernel hands out a page at a time.
    ///
    /// # Errors
    /// The errno of `pread(2)`.
    pub fn read_all<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let mut length = 0;
        while length < buffer.len() {
            let offset = libc::off_t::try_from(length).map_err(|_| Errno::EOVERFLOW)?;
            match retry(|| pread(&self.file, &mut buffer[length..], offset))? {
                0 => break,
                more => length += more,
            }
        }
        Ok(&buffer[..length])
    }
}

impl AsFd for KernFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// The decimal number that `text` is, give or take white space around it. `max` and anything else is `None`.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The number after `key` in a file of `key value` lines (`key:` and a unit after the number, as in `/proc/meminfo`, are
/// accepted too).
#[must_use]
pub fn value(text: &[u8], key: &str) -> Option<u64> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let rest = line.strip_prefix(key.as_bytes())?;
        let rest = rest.strip_prefix(b":").unwrap_or(rest).strip_prefix(b" ")?;
        rest.split(|byte| *byte == b' ').find(|word| !word.is_empty()).and_then(number)
    })
}

/// Bytes in a page of this machine.
pub(crate) fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("4096\n", Some(4096))]
    #[case("0", Some(0))]
    #[case("18446744073709551615", Some(u64::MAX))]
    #[case("18446744073709551616", None)]
    #[case("max\n", None)]
    #[case("", None)]
    #[case("-1", None)]
    #[case("12 34", None)]
    fn a_number_is_decimal_digits_and_nothing_else(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(number(text.as_bytes()), expected);
    }

    #[rstest]
    #[case("oom_kill", Some(2))]
    #[case("low", Some(0))]
    #[case::the_beginning_of_another("oom", None)]
    #[case::with_colon_padding_and_unit("MemTotal", Some(2_020_524))]
    #[case::no_number("pids", None)]
    fn a_value_follows_its_key(#[case] key: &str, #[case] expected: Option<u64>) {
        let text = b"low 0\nsock_throttled 7\noom_kill 2\npids max\nMemTotal:        2020524 kB\n";
        assert_eq!(value(text, key), expected);
    }

    #[test]
    fn a_file_is_read_again_from_its_start_without_reopening() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("memory.current");
        std::fs::write(&path, "1\n").expect("write");
        let file = KernFile::open(&path).expect("open").expect("it exists");
        let mut buffer = [0; 64];
        assert_eq!(file.read_once(&mut buffer), Ok(&b"1\n"[..]));
        std::fs::write(&path, "22\n").expect("write");
        assert_eq!(file.read_once(&mut buffer), Ok(&b"22\n"[..]));
        assert_eq!(file.read_all(&mut buffer), Ok(&b"22\n"[..]));
        assert!(KernFile::open(&dir.path().join("memory.peak")).expect("absent is no error").is_none());
    }
}
