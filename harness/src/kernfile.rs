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

/// Fills `values[i]` with the number after `keys[i]` in a file of `key value` lines (`key:` and a unit after the
/// number, as in `/proc/meminfo`, are accepted too). Unknown keys are passed over; absent keys stay as they are.
pub fn keyed(text: &[u8], keys: &[&str], values: &mut [Option<u64>]) {
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
        let key = key.strip_suffix(b":").unwrap_or(key);
        if let Some(index) = keys.iter().position(|wanted| wanted.as_bytes() == key)
            && let Some(slot) = values.get_mut(index)
        {
            *slot = number(value);
        }
    }
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

    #[test]
    fn unknown_keys_are_passed_over_and_absent_keys_stay_unknown() {
        let mut values = [None; 3];
        keyed(b"low 0\nsock_throttled 7\noom_kill 2\n", &["oom_kill", "low", "oom_group_kill"], &mut values);
        assert_eq!(values, [Some(2), Some(0), None]);
    }

    #[test]
    fn meminfo_lines_with_colon_padding_and_unit_are_read() {
        let mut values = [None; 2];
        keyed(
            b"MemTotal:        2020524 kB\nMemFree:         1500000 kB\n",
            &["MemFree", "MemTotal"],
            &mut values,
        );
        assert_eq!(values, [Some(1_500_000), Some(2_020_524)]);
    }

    #[test]
    fn a_key_that_is_only_the_beginning_of_another_does_not_match_it() {
        let mut values = [None];
        keyed(b"oom_kill 5\n", &["oom"], &mut values);
        assert_eq!(values, [None]);
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
