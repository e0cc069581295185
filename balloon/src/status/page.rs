//! A path → a mapped status page (harness: create, release, snapshot; actor: open, wait), and saved bytes → a
//! snapshot. Does not decide what a phase or a number means.

use super::layout::{Fields, Snapshot, USED};
use super::{MAGIC, PAGE_SIZE, Phase, VERSION};
use crate::{clock, futex};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A status page could not be made, opened or read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The file system said no.
    #[error("cannot {what} the status page {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The page.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Some actor writes, or wrote, this page: its counts would be mixed with those of another.
    #[error("the status page {} belongs to process {pid}: use a new one for every actor", path.display())]
    Taken {
        /// The page.
        path: PathBuf,
        /// The actor.
        pid: u32,
    },
    /// The file is not a status page of this version.
    #[error("{} is not a status page that this program can use", path.display())]
    Decode {
        /// The page.
        path: PathBuf,
        /// Why not.
        source: DecodeError,
    },
}

/// Bytes are not a status page of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Cut off.
    #[error("a status page has {PAGE_SIZE} bytes, this has {0}")]
    Length(usize),
    /// Something else altogether.
    #[error("it starts with {0:#018x}, a status page with {MAGIC:#018x}")]
    Magic(u64),
    /// Written by another release.
    #[error("it has layout version {0}, this program reads version {VERSION}: use programs of one release")]
    Version(u32),
    /// A phase that does not exist: something has written over the page.
    #[error("its phase is {0}, which no actor writes: the page is damaged")]
    Phase(u32),
}

/// A status page saved on disk → its values. Loss-free: [`encode`] gives the same bytes again.
///
/// # Errors
///
/// [`DecodeError`], when the bytes are not a page of this version.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, DecodeError> {
    if bytes.len() != PAGE_SIZE {
        return Err(DecodeError::Length(bytes.len()));
    }
    let Some(used) = bytes.first_chunk::<USED>() else { return Err(DecodeError::Length(bytes.len())) };
    let snapshot = Fields::from_bytes(used).load();
    check(&snapshot)?;
    Ok(snapshot)
}

fn check(snapshot: &Snapshot) -> Result<(), DecodeError> {
    if snapshot.magic != MAGIC {
        return Err(DecodeError::Magic(snapshot.magic));
    }
    if snapshot.version != VERSION {
        return Err(DecodeError::Version(snapshot.version));
    }
    snapshot.phase().map(|_| ()).ok_or(DecodeError::Phase(snapshot.phase))
}

/// The bytes of a page with these values.
#[must_use]
pub fn encode(snapshot: &Snapshot) -> [u8; PAGE_SIZE] {
    let fields = Fields::from_bytes(&[0; USED]);
    fields.store(snapshot);
    let mut page = [0; PAGE_SIZE];
    page[..USED].copy_from_slice(&fields.to_bytes());
    page
}

/// Reads a saved page.
///
/// # Errors
///
/// [`PageError`], naming the path.
pub fn read(path: &Path) -> Result<Snapshot, PageError> {
    let bytes =
        std::fs::read(path).map_err(|source| PageError::Io { what: "read", path: path.into(), source })?;
    decode(&bytes).map_err(|source| PageError::Decode { path: path.into(), source })
}

/// A status page, mapped. Sharing it between threads is fine; every cell is an atomic.
#[derive(Debug)]
pub struct Page {
    map: MmapRaw,
}

impl Page {
    /// Harness side: makes the file, maps it and touches it, so that its memory belongs to the caller's cgroup.
    /// Put it on tmpfs: on a disk, writeback would write-protect the page and stall the actor.
    ///
    /// # Errors
    ///
    /// [`PageError::Io`], also when the path exists: the page there may be some living actor's.
    pub fn create(path: &Path) -> Result<Self, PageError> {
        let io = |what| move |source| PageError::Io { what, path: path.into(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(io("create"))?;
        file.set_len(PAGE_SIZE as u64).map_err(io("size"))?;
        let page = Self::map(&file).map_err(io("map"))?;
        page.fields().store(&Snapshot::fresh());
        Ok(page)
    }

    /// Actor side: maps a page that exists.
    ///
    /// # Errors
    ///
    /// [`PageError`], when the file is missing, too short, or not a page of this version.
    pub fn open(path: &Path) -> Result<Self, PageError> {
        let io = |what| move |source| PageError::Io { what, path: path.into(), source };
        let decode = |source| PageError::Decode { path: path.into(), source };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("open"))?;
        let length = file.metadata().map_err(io("measure"))?.len();
        if length != PAGE_SIZE as u64 {
            return Err(decode(DecodeError::Length(usize::try_from(length).unwrap_or(usize::MAX))));
        }
        let page = Self::map(&file).map_err(io("map"))?;
        check(&page.snapshot()).map_err(decode)?;
        Ok(page)
    }

    fn map(file: &File) -> io::Result<Self> {
        Ok(Self { map: MmapOptions::new().len(PAGE_SIZE).map_raw(file)? })
    }

    #[expect(unsafe_code, reason = "atomics at a fixed place in shared memory")]
    pub(crate) fn fields(&self) -> &Fields {
        // SAFETY: the mapping is page-aligned, writable, longer than `Fields` and lives as long as `self`;
        // `Fields` is repr(C) and made of atomics, so that any bytes are valid and other writers are allowed.
        unsafe { &*self.map.as_ptr().cast() }
    }

    /// The page's values now. Allocates nothing and cannot fail.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.fields().load()
    }

    /// The page's bytes, to be saved.
    #[must_use]
    pub fn bytes(&self) -> [u8; PAGE_SIZE] {
        encode(&self.snapshot())
    }

    /// Lets the actor go.
    pub fn release(&self) {
        let word = &self.fields().release;
        word.store(1, Release);
        futex::wake(word);
    }

    /// Whether [`Page::release`] was called.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.fields().release.load(Acquire) != 0
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.fields().phase.store(phase as u32, Release);
        self.alive();
    }

    pub(crate) fn alive(&self) {
        self.fields().updated_ns.store(clock::now_ns(), Relaxed);
    }

    /// Last words: phase `Failed`, with as much of the text as fits.
    pub(crate) fn fail(&self, text: &str, errno: i32) {
        let fields = self.fields();
        let bytes = text.bytes().chain(std::iter::repeat(0));
        fields.text.iter().zip(bytes).for_each(|(cell, byte)| cell.store(byte, Relaxed));
        fields.errno.store(errno.unsigned_abs(), Relaxed);
        self.set_phase(Phase::Failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Kind;
    use proptest::prelude::*;

    fn page() -> (tempfile::TempDir, PathBuf, Page) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("status");
        let page = Page::create(&path).unwrap();
        (dir, path, page)
    }

    #[test]
    fn what_the_actor_writes_the_harness_reads_from_its_own_mapping_and_from_disk() {
        let (_dir, path, harness) = page();
        let actor = Page::open(&path).unwrap();
        actor.fields().touched.store(123_456, Relaxed);
        actor.fail("no memory for the balloon", libc::ENOMEM);
        let snapshot = harness.snapshot();
        assert_eq!((snapshot.touched, snapshot.phase()), (123_456, Some(Phase::Failed)));
        assert_eq!((snapshot.text(), snapshot.errno), ("no memory for the balloon", 12));
        assert_eq!(read(&path).unwrap(), snapshot);
        assert_eq!(std::fs::read(&path).unwrap(), harness.bytes());
    }

    #[test]
    fn a_release_in_one_mapping_is_seen_in_another() {
        let (_dir, path, harness) = page();
        let actor = Page::open(&path).unwrap();
        assert!(!actor.is_released());
        harness.release();
        assert!(actor.is_released());
    }

    #[test]
    fn a_page_that_exists_is_not_overwritten() {
        let (_dir, path, _page) = page();
        let error = Page::create(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot create the status page {}", path.display()));
    }

    #[test]
    fn a_text_longer_than_its_cells_is_cut() {
        let (_dir, _path, page) = page();
        page.fail(&"x".repeat(1000), 0);
        assert_eq!(page.snapshot().text().len(), crate::status::TEXT);
    }

    #[test]
    fn an_unknown_version_is_an_error_that_names_the_path() {
        let (dir, _path, page) = page();
        let mut bytes = page.bytes();
        bytes[8] = 9;
        let other = dir.path().join("other");
        std::fs::write(&other, bytes).unwrap();
        let error = Page::open(&other).unwrap_err();
        assert!(error.to_string().starts_with(&other.display().to_string()), "{error}");
        assert_eq!(decode(&bytes), Err(DecodeError::Version(9)));
    }

    #[test]
    fn bytes_of_something_else_are_refused() {
        assert_eq!(decode(&[0; 100]), Err(DecodeError::Length(100)));
        assert_eq!(decode(&[0; PAGE_SIZE]), Err(DecodeError::Magic(0)));
        let mut damaged = Snapshot::fresh();
        damaged.phase = 77;
        assert_eq!(decode(&encode(&damaged)), Err(DecodeError::Phase(77)));
    }

    #[test]
    fn a_page_that_nobody_opened_has_no_kind() {
        let mut snapshot = Snapshot::fresh();
        assert_eq!((snapshot.kind(), snapshot.phase()), (None, Some(Phase::Starting)));
        snapshot.kind = Kind::Sleeper as u32;
        assert_eq!(snapshot.kind(), Some(Kind::Sleeper));
    }

    proptest! {
        #[test]
        fn saving_and_reading_a_page_loses_nothing(bytes in proptest::collection::vec(any::<u8>(), USED)) {
            let mut page = [0; PAGE_SIZE];
            page[..USED].copy_from_slice(&bytes);
            page[..8].copy_from_slice(&MAGIC.to_le_bytes());
            page[8..12].copy_from_slice(&VERSION.to_le_bytes());
            page[20..24].copy_from_slice(&[3, 0, 0, 0]);
            prop_assert_eq!(encode(&decode(&page).unwrap()), page);
        }
    }
}
