//! Bytes to hold → mapped memory, touched page by page, and given back. The only place that writes to the
//! balloon's memory. It keeps no account of what is touched and decides nothing about pace.

mod pattern;

use crate::options::HugePages;
use crate::trouble::Trouble;
use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use pattern::Pattern;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(crate) use crate::options::Pages;

/// Bytes of a page; x86-64 knows no other base size.
pub(crate) const PAGE: u64 = 4096;
/// Bytes of a transparent huge page on x86-64.
pub(crate) const HUGE: u64 = 2 << 20;
/// A growing balloon maps this much more at a time.
const EXTENSION: u64 = 256 << 20;
/// Bytes that one mincore(2) call looks at: its answer fits in a page.
const LOOK: usize = 4096 * 4096;

/// What memory is made of.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Anon,
    Shmem,
    /// A file to create on a disk.
    File(PathBuf),
}

/// The memory of one process of a balloon.
#[derive(Debug)]
pub(crate) struct Region {
    backing: Backing,
    huge: HugePages,
    lock: bool,
    areas: Vec<Area>,
    pattern: Pattern,
}

#[derive(Debug)]
enum Backing {
    Anon,
    Shmem(File),
    File(File),
}

/// One mapping: bytes `base..base + length` of the region, from `skip` on.
#[derive(Debug)]
struct Area {
    map: MmapRaw,
    base: u64,
    length: u64,
    skip: usize,
}

impl Region {
    /// Reserves address space for `length` bytes, a multiple of the page size; touches nothing.
    pub(crate) fn new(
        source: &Source,
        huge: HugePages,
        lock: bool,
        pages: Pages,
        length: u64,
    ) -> Result<Self, Trouble> {
        let backing = match source {
            Source::Anon => Backing::Anon,
            Source::Shmem => Backing::Shmem(
                memfd_create("balloon", MFdFlags::MFD_CLOEXEC)
                    .map_err(|errno| Trouble::system("create shared memory", errno))?
                    .into(),
            ),
            Source::File(path) => Backing::File(
                scratch(path)
                    .map_err(|error| Trouble::system(format!("create {}", path.display()), error))?,
            ),
        };
        let mut region = Self { backing, huge, lock, areas: Vec::new(), pattern: Pattern::new(pages) };
        region.extend(length)?;
        Ok(region)
    }

    fn end(&self) -> u64 {
        self.areas.last().map_or(0, |area| area.base + area.length)
    }

    /// Makes sure that bytes up to `end` can be touched.
    pub(crate) fn reserve(&mut self, end: u64) -> Result<(), Trouble> {
        if end > self.end() { self.extend((end - self.end()).next_multiple_of(EXTENSION)) } else { Ok(()) }
    }

    fn extend(&mut self, length: u64) -> Result<(), Trouble> {
        let base = self.end();
        let area = self.map(base, length).map_err(|error| {
            Trouble::system(format!("reserve {length} bytes for the balloon, after {base}"), error)
        })?;
        let advised = match self.huge {
            HugePages::Always => area.map.advise(Advice::HugePage),
            // EINVAL: a kernel without huge pages, which is as good.
            HugePages::Never => area.map.advise(Advice::NoHugePage).or_else(|error| {
                if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) }
            }),
            HugePages::Inherit => Ok(()),
        };
        advised.map_err(|error| Trouble::system("choose the size of pages (--huge-pages)", error))?;
        if self.lock {
            area.lock_on_fault().map_err(|error| {
                Trouble::system(
                    "lock the balloon (--mlock needs CAP_IPC_LOCK or a larger RLIMIT_MEMLOCK)",
                    error,
                )
            })?;
        }
        self.areas.push(area);
        Ok(())
    }

    fn map(&self, base: u64, length: u64) -> io::Result<Area> {
        match &self.backing {
            Backing::Anon => Area::anonymous(base, length),
            Backing::Shmem(file) => {
                file.set_len(base + length)?;
                Area::of_file(file, base, length)
            }
            Backing::File(file) => {
                allocate(file, base, length)?;
                Area::of_file(file, base, length)
            }
        }
    }

    /// Lets the kernel fault in `from..to` in one call, without entering the page-fault handler page by page. An
    /// error (no such call before Linux 5.14; no memory) says nothing about how much of it is there now.
    pub(crate) fn populate(&self, from: u64, to: u64) -> io::Result<()> {
        self.pieces(from, to).try_for_each(|(area, from, to)| {
            area.map.advise_range(Advice::PopulateWrite, area.skip + size(from), size(to - from))
        })
    }

    /// Writes to every page of `from..to`, reporting each one to `touched` right after.
    pub(crate) fn touch(&mut self, from: u64, to: u64, mut touched: impl FnMut()) {
        for (area, from, to) in pieces(&self.areas, from, to) {
            for at in (from..to).step_by(size(PAGE)) {
                area.write(at, &mut self.pattern);
                touched();
            }
        }
    }

    /// Writes one byte to every page of `from..to`, keeping the rest of it.
    pub(crate) fn touch_again(&mut self, from: u64, to: u64) {
        for (area, from, to) in pieces(&self.areas, from, to) {
            for at in (from..to).step_by(size(PAGE)) {
                area.write_byte(at, self.pattern.byte());
            }
        }
    }

    /// Gives `from..to` back to the kernel, with the pages of its file, if any.
    pub(crate) fn release(&self, from: u64, to: u64) -> io::Result<()> {
        let advice = match self.backing {
            Backing::Anon => UncheckedAdvice::DontNeed,
            // Dropping the mapping alone would leave the pages in the file, still charged (madvise(2), MADV_REMOVE).
            Backing::Shmem(_) | Backing::File(_) => UncheckedAdvice::Remove,
        };
        self.pieces(from, to).try_for_each(|(area, from, to)| area.discard(advice, from, to))?;
        match &self.backing {
            Backing::File(file) => allocate(file, from, to - from),
            Backing::Anon | Backing::Shmem(_) => Ok(()),
        }
    }

    /// Bytes of `0..to` that the kernel says are resident (mincore(2)).
    pub(crate) fn resident(&self, to: u64) -> io::Result<u64> {
        self.pieces(0, to).map(|(area, from, to)| area.resident(from, to)).sum()
    }

    fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = (&Area, u64, u64)> {
        pieces(&self.areas, from, to)
    }
}

/// The parts of `from..to` that lie in each area, counted from the area's start.
fn pieces(areas: &[Area], from: u64, to: u64) -> impl Iterator<Item = (&Area, u64, u64)> {
    areas.iter().filter_map(move |area| {
        let from = from.max(area.base);
        let to = to.min(area.base + area.length);
        (from < to).then(|| (area, from - area.base, to - area.base))
    })
}

/// A new file without a name: nothing to clean up, however the balloon ends.
fn scratch(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// A store to a hole on a full disk is a SIGBUS: ask for the blocks while there is still an errno.
fn allocate(file: &File, from: u64, length: u64) -> io::Result<()> {
    Ok(fallocate(file, FallocateFlags::empty(), offset(from)?, offset(length)?)?)
}

/// Lengths are at most the address space, so they fit; an impossible one fails in the call that gets it.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn offset(bytes: u64) -> io::Result<i64> {
    i64::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

impl Area {
    /// Not reserved (MAP_NORESERVE): otherwise one mapping larger than memory and swap is refused
    /// (Documentation/mm/overcommit-accounting.rst, mode 0). Aligned to 2 MiB so that huge pages and steps coincide; a smaller
    /// one is as large as it was asked for, since the first touch of a mapping with room for a huge page may charge all of that.
    fn anonymous(base: u64, length: u64) -> io::Result<Self> {
        let room = if length < HUGE { 0 } else { HUGE };
        let map = MmapOptions::new().len(size(length + room)).no_reserve_swap().map_anon()?;
        let skip = if room == 0 { 0 } else { map.as_ptr().align_offset(size(HUGE)) };
        Ok(Self { map: map.into(), base, length, skip })
    }

    fn of_file(file: &File, base: u64, length: u64) -> io::Result<Self> {
        let map = MmapOptions::new().offset(base).len(size(length)).no_reserve_swap().map_raw(file)?;
        Ok(Self { map, base, length, skip: 0 })
    }

    fn at(&self, at: u64) -> *mut u8 {
        debug_assert!(at < self.length, "inside the area");
        self.map.as_mut_ptr().wrapping_add(self.skip + size(at))
    }

    #[expect(unsafe_code, reason = "nix lacks mlock2, and plain mlock would fault everything in at once")]
    fn lock_on_fault(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping; locking changes no contents.
        let done = unsafe { libc::mlock2(self.at(0).cast(), size(self.length), libc::MLOCK_ONFAULT as _) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[expect(unsafe_code, reason = "volatile stores, which no optimiser may remove")]
    fn write(&self, at: u64, pattern: &mut Pattern) {
        // SAFETY: callers pass page-aligned offsets inside the mapping, which is writable and at least a page long
        // there; nobody holds references into it.
        unsafe { pattern.write(self.at(at)) }
    }

    #[expect(unsafe_code, reason = "volatile stores, which no optimiser may remove")]
    fn write_byte(&self, at: u64, byte: u8) {
        // SAFETY: as for `write`.
        unsafe { self.at(at).write_volatile(byte) }
    }

    #[expect(unsafe_code, reason = "advice that changes the contents of memory")]
    fn discard(&self, advice: UncheckedAdvice, from: u64, to: u64) -> io::Result<()> {
        // SAFETY: the range lies in this mapping, to which no references exist.
        unsafe { self.map.unchecked_advise_range(advice, self.skip + size(from), size(to - from)) }
    }

    #[expect(unsafe_code, reason = "nix lacks mincore")]
    fn resident(&self, from: u64, to: u64) -> io::Result<u64> {
        let mut answer = [0_u8; LOOK / PAGE as usize];
        let mut resident = 0;
        for at in (from..to).step_by(LOOK) {
            let length = size(to - at).min(LOOK);
            // SAFETY: the range lies in this mapping, and the answer has a byte for each of its pages.
            if unsafe { libc::mincore(self.at(at).cast(), length, answer.as_mut_ptr()) } != 0 {
                return Err(io::Error::last_os_error());
            }
            let pages = length.div_ceil(size(PAGE));
            // Only the lowest bit has a meaning (mincore(2)).
            resident += answer[..pages].iter().map(|byte| u64::from(byte & 1)).sum::<u64>();
        }
        Ok(resident * PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SIZE: u64 = 4 << 20;

    fn region(source: &Source, pages: Pages, length: u64) -> Region {
        Region::new(source, HugePages::Never, false, pages, length).unwrap()
    }

    #[rstest]
    fn touched_memory_is_resident_and_released_memory_is_not(
        #[values(Source::Anon, Source::Shmem)] source: Source,
        #[values(Pages::Zero, Pages::Random)] pages: Pages,
    ) {
        let mut region = region(&source, pages, SIZE);
        let mut touched = 0;
        region.touch(0, SIZE, || touched += PAGE);
        assert_eq!((touched, region.resident(SIZE).unwrap()), (SIZE, SIZE));
        region.release(SIZE / 2, SIZE).unwrap();
        assert_eq!(region.resident(SIZE).unwrap(), SIZE / 2);
    }

    #[test]
    fn populating_makes_memory_resident_before_it_is_touched() {
        let region = region(&Source::Anon, Pages::Zero, SIZE);
        assert_eq!(region.resident(SIZE).unwrap(), 0);
        region.populate(0, SIZE / 4).unwrap();
        assert_eq!(region.resident(SIZE).unwrap(), SIZE / 4);
    }

    #[rstest]
    fn a_region_grows_past_its_end(#[values(Source::Anon, Source::Shmem)] source: Source) {
        let mut region = region(&source, Pages::Zero, SIZE);
        region.reserve(SIZE + PAGE).unwrap();
        region.touch(SIZE - PAGE, SIZE + PAGE, || {});
        assert_eq!(region.resident(SIZE + PAGE).unwrap(), 2 * PAGE);
    }

    /// Transparent huge pages are always on with many distributions, and since 6.7 the kernel aligns what has room for one.
    #[rstest]
    #[case::less_than_a_huge_page(HUGE - PAGE, HUGE - PAGE)]
    #[case::a_huge_page(HUGE, 2 * HUGE)]
    fn only_what_has_room_for_a_huge_page_is_aligned_to_one(#[case] length: u64, #[case] mapped: u64) {
        let area = Area::anonymous(0, length).unwrap();
        assert_eq!(area.map.len() as u64, mapped);
        assert!(area.skip + size(length) <= area.map.len());
    }

    #[test]
    fn a_region_larger_than_memory_and_swap_can_be_reserved() {
        let mut region = region(&Source::Anon, Pages::Zero, 1 << 45);
        region.touch((1 << 45) - PAGE, 1 << 45, || {});
    }

    #[test]
    fn the_file_of_a_region_has_no_name_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pages");
        let mut region =
            Region::new(&Source::File(path.clone()), HugePages::Inherit, false, Pages::Random, SIZE).unwrap();
        region.touch(0, SIZE, || {});
        assert!(!path.exists());
        assert_eq!(region.resident(SIZE).unwrap(), SIZE);
    }
}
