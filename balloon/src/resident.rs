//! The self-check: is the memory that was touched really there? Asks the kernel, not the balloon. Memory that was
//! swapped out, or page cache that was written back and dropped, did move and is no failure.

use crate::pages::{PAGE, Region, Source};
use crate::trouble::Trouble;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The kernel's accounts of this process, opened before memory is short.
#[derive(Debug)]
pub(crate) struct Witness {
    statm: File,
    status: File,
    meminfo: File,
    before: u64,
}

impl Witness {
    /// Opens the accounts of the calling process; a forked child needs its own.
    pub(crate) fn new() -> Result<Self, Trouble> {
        let open = |path| File::open(path).map_err(|error| Trouble::system(format!("open {path}"), error));
        let mut witness = Self {
            statm: open("/proc/self/statm")?,
            status: open("/proc/self/status")?,
            meminfo: open("/proc/meminfo")?,
            before: 0,
        };
        witness.before = witness.resident().map_err(unreadable)?;
        Ok(witness)
    }

    /// Bytes resident by the kernel's account; an error when they are less than half of `touched` and swap does not
    /// explain it.
    pub(crate) fn check(&self, source: &Source, region: &Region, touched: u64) -> Result<u64, Trouble> {
        let mut resident = match source {
            // Resident set size counts pages of the process, not of the file.
            Source::File(_) => region.resident(touched),
            Source::Anon | Source::Shmem => self.resident().map(|now| now.saturating_sub(self.before)),
        }
        .map_err(unreadable)?;
        if is_enough(touched, resident, 0) || matches!(source, Source::File(_)) {
            return Ok(resident);
        }
        // The counts behind statm are batched per CPU (Documentation/filesystems/proc.rst): look page by page.
        resident = region.resident(touched).map_err(unreadable)?;
        let swapped = self.swapped(source).map_err(unreadable)?;
        if is_enough(touched, resident, swapped) {
            Ok(resident)
        } else {
            Err(Trouble::NotResident { touched, resident, swapped })
        }
    }

    fn resident(&self) -> io::Result<u64> {
        let mut buffer = [0; 128];
        let text = read(&self.statm, &mut buffer)?;
        let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
        pages.map(|pages| pages * PAGE).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Bytes swapped out. `VmSwap` leaves out shared memory (proc_pid_status(5)), so there it is the machine's.
    fn swapped(&self, source: &Source) -> io::Result<u64> {
        let mut buffer = [0; 4096];
        match source {
            Source::Shmem => {
                let text = read(&self.meminfo, &mut buffer)?;
                Ok(field(&text, "SwapTotal:").saturating_sub(field(&text, "SwapFree:")))
            }
            Source::Anon | Source::File(_) => Ok(field(&read(&self.status, &mut buffer)?, "VmSwap:")),
        }
    }
}

fn unreadable(error: io::Error) -> Trouble {
    Trouble::system("read from the kernel how much memory it holds", error)
}

fn is_enough(touched: u64, resident: u64, swapped: u64) -> bool {
    resident.saturating_add(swapped) >= touched / 2
}

/// Lossy, because the name of the process is among the text, and that is any bytes.
fn read<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<Cow<'a, str>> {
    let length = file.read_at(buffer, 0)?;
    Ok(String::from_utf8_lossy(&buffer[..length]))
}

/// `Name:   123 kB` → bytes; 0 when the kernel was built without it.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{HugePages, Pages};
    use rstest::rstest;

    #[rstest]
    #[case(100, 50, 0, true)]
    #[case(100, 49, 0, false)]
    #[case(100, 10, 40, true)]
    #[case(0, 0, 0, true)]
    fn half_of_what_was_touched_is_enough(
        #[case] touched: u64,
        #[case] resident: u64,
        #[case] swapped: u64,
        #[case] enough: bool,
    ) {
        assert_eq!(is_enough(touched, resident, swapped), enough);
    }

    /// One after the other, and larger than all that other tests of this process hold meanwhile.
    #[test]
    fn memory_that_went_away_is_noticed() {
        const SIZE: u64 = 256 << 20;
        for source in [Source::Anon, Source::Shmem] {
            let witness = Witness::new().unwrap();
            let mut region = Region::new(&source, HugePages::Never, false, Pages::Zero, SIZE).unwrap();
            region.touch(0, SIZE, || {});
            assert!(witness.check(&source, &region, SIZE).unwrap() >= SIZE / 2);
            region.release(0, SIZE).unwrap();
            assert_eq!(witness.check(&source, &region, SIZE).unwrap_err().exit_code(), 3);
        }
    }

    #[test]
    fn a_field_of_a_proc_file_is_read_in_bytes() {
        assert_eq!(field("VmRSS:\t  10 kB\nVmSwap:\t     12 kB\n", "VmSwap:"), 12 * 1024);
    }
}
