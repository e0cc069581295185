//! The places of the reports of one invocation: looked at before anything runs, written to when all is known.
//!
//! A regular file appears whole or not at all, with the owner and mode it had. Nothing else that stands at a path is ever
//! replaced: links stay links, and devices, FIFOs and sockets are written into. Directories are not made: a mistyped path
//! is an error, not a new tree.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tempfile::{Builder, NamedTempFile};
use thiserror::Error;

use crate::report::Report;
use crate::target::{Kind, Target, render};
use crate::terminal::{Color, Options};

/// Why there is no place for a report.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory that should hold the file is not there.
    #[error("{} is no directory, so report {} cannot be written: create it first", directory.display(), path.display())]
    NoDirectory {
        /// The file that was asked for.
        path: PathBuf,
        /// The directory that is missing.
        directory: PathBuf,
    },
    /// Two reports would overwrite each other.
    #[error("two reports cannot both be written to {}: give each a path of its own", path.display())]
    Twice {
        /// The path, as it was given the second time.
        path: PathBuf,
    },
    /// Something is there that no report may be written to.
    #[error("report {} cannot be written: it is {what}", path.display())]
    Unfit {
        /// The path.
        path: PathBuf,
        /// What is there, and what to do.
        what: &'static str,
    },
    /// The system refuses.
    #[error("report {} cannot be written", path.display())]
    Refused {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a report could not be delivered.
#[derive(Debug, Error)]
pub enum WriteError {
    /// There is no place for it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its place did not take it.
    #[error("cannot write report {}", path.display())]
    File {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Standard output did not take it.
    #[error("cannot write report to standard output")]
    Stdout(#[source] io::Error),
}

/// One report's place.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    place: Place,
}

/// What stands at a path, and so how it is written.
#[derive(Debug)]
enum Place {
    /// Standard output, by whatever name.
    Stdout,
    /// Nothing yet.
    New { path: PathBuf },
    /// A regular file that another one can take the place of.
    Replaced { path: PathBuf, file: File },
    /// A regular file that has to stay: it has other names, or its directory or owner does not let it be replaced.
    Kept { file: File },
    /// A device or a FIFO.
    Stream { file: File },
    /// A socket that somebody listens on.
    Socket { stream: UnixStream },
}

/// Finds the place of every report, and that it can be written.
///
/// # Errors
/// A place that cannot be written: better known now than after an hour.
pub fn open(targets: &[Target]) -> Result<Vec<Sink>, OpenError> {
    let mut sinks: Vec<Sink> = Vec::new();
    for target in targets {
        let place = match &target.path {
            None => Place::Stdout,
            Some(path) => Place::at(path)?,
        };
        if let Some(path) = &target.path
            && !matches!(place, Place::Stdout)
            && sinks.iter().any(|sink| sink.place.is_same(&place))
        {
            return Err(OpenError::Twice { path: path.clone() });
        }
        sinks.push(Sink { target: target.clone(), place });
    }
    Ok(sinks)
}

/// Writes `report` where `target` says, now.
///
/// # Errors
/// As [`open`] and [`Sink::write`].
pub fn write(
    report: &Report,
    target: &Target,
    stdout: &mut dyn Write,
    options: Options,
) -> Result<(), WriteError> {
    for mut sink in open(std::slice::from_ref(target))? {
        sink.write(report, stdout, options)?;
    }
    Ok(())
}

impl Sink {
    /// The page for a person, on standard output.
    #[must_use]
    pub fn terminal() -> Self {
        Self { target: Target { kind: Kind::Terminal, path: None }, place: Place::Stdout }
    }

    /// Whether it is standard output, by whatever name.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// Writes `report`. A file is never coloured, whatever `options` say.
    ///
    /// # Errors
    /// A place that does not take all of it; a regular file then is as it was.
    pub fn write(
        &mut self,
        report: &Report,
        stdout: &mut dyn Write,
        options: Options,
    ) -> Result<(), WriteError> {
        if self.target.path.is_none() {
            let text = render(report, self.target.kind, options);
            return stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
                .map_err(WriteError::Stdout);
        }
        let text = render(report, self.target.kind, Options { color: Color::Plain, ..options });
        let written = self.place.write(text.as_bytes(), stdout);
        written
            .map_err(|source| WriteError::File { path: self.target.path.clone().unwrap_or_default(), source })
    }
}

impl Place {
    fn at(path: &Path) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Refused { path: path.to_owned(), source };
        let unfit = |what| OpenError::Unfit { path: path.to_owned(), what };
        let found = match fs::metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::new(path),
            Err(error) => return Err(refused(error)),
        };
        let kind = found.file_type();
        if kind.is_dir() {
            return Err(unfit("a directory; name a file in it"));
        } else if is_stdout(&found) {
            return Ok(Self::Stdout);
        } else if kind.is_block_device() {
            return Err(unfit("a block device, and what is on it would be lost"));
        } else if kind.is_socket() {
            return Ok(Self::Socket { stream: UnixStream::connect(path).map_err(refused)? });
        } else if !kind.is_file() {
            return stream(path).map(|file| Self::Stream { file }).map_err(|error| {
                if error.raw_os_error() == Some(Errno::ENXIO as i32) {
                    unfit("a FIFO that nobody reads; start its reader first")
                } else {
                    refused(error)
                }
            });
        }
        let file = OpenOptions::new().write(true).open(path).map_err(refused)?;
        let real = fs::canonicalize(path).map_err(refused)?;
        if found.nlink() == 1 && successor(&real, &found).is_ok() {
            Ok(Self::Replaced { path: real, file })
        } else {
            Ok(Self::Kept { file })
        }
    }

    /// A file that is not there yet: where a link at `path` points to.
    fn new(path: &Path) -> Result<Self, OpenError> {
        let mut place = path.to_owned();
        // As many as the kernel follows.
        for _ in 0..40 {
            let Ok(link) = fs::read_link(&place) else { break };
            place = directory(&place).join(link);
        }
        let parent = directory(&place);
        let Ok(real) = fs::canonicalize(parent) else {
            return Err(OpenError::NoDirectory { path: path.to_owned(), directory: parent.to_owned() });
        };
        let Some(name) = place.file_name().filter(|_| real.is_dir()) else {
            return Err(OpenError::NoDirectory { path: path.to_owned(), directory: parent.to_owned() });
        };
        scratch(&real).map_err(|source| OpenError::Refused { path: path.to_owned(), source })?;
        Ok(Self::New { path: real.join(name) })
    }

    /// Whether two reports would end up in the same place.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::New { path }, Self::New { path: other }) => path == other,
            _ => match (self.identity(), other.identity()) {
                (Some(mine), Some(others)) => mine == others,
                _ => false,
            },
        }
    }

    /// Device and inode, of what has them.
    fn identity(&self) -> Option<(u64, u64)> {
        match self {
            Self::Replaced { file, .. } | Self::Kept { file } | Self::Stream { file } => {
                file.metadata().ok().map(|found| (found.dev(), found.ino()))
            }
            Self::Stdout | Self::New { .. } | Self::Socket { .. } => None,
        }
    }

    fn write(&mut self, text: &[u8], stdout: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Stdout => stdout.write_all(text).and_then(|()| stdout.flush()),
            Self::Stream { file } => file.write_all(text),
            Self::Socket { stream } => stream.write_all(text),
            Self::Kept { file } => overwrite(file, text),
            Self::New { path } => {
                let mut file = scratch(directory(path))?;
                file.write_all(text)?;
                file.as_file().sync_all()?;
                match file.persist_noclobber(&path) {
                    Ok(_) => Ok(()),
                    // Somebody else made it in the meantime.
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                        Self::at(path).map_err(io::Error::other)?.write(text, stdout)
                    }
                    Err(error) => Err(error.error),
                }
            }
            Self::Replaced { path, file } => {
                let mut next = successor(path, &file.metadata()?)?;
                next.write_all(text)?;
                next.as_file().sync_all()?;
                // A mount point (a file that was given to a container) cannot be renamed over.
                next.persist(path).map(drop).or_else(|_| overwrite(file, text))
            }
        }
    }
}

/// The directory that holds a file.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file beside the place of a new one. Readable as any file a program makes: the umask takes away what the user wants
/// taken away.
fn scratch(directory: &Path) -> io::Result<NamedTempFile> {
    let mode = Permissions::from_mode(0o666);
    Builder::new().prefix(".bulkhead-report-").permissions(mode).tempfile_in(directory)
}

/// A file that may take the place of the one at `path`: it has the same owner and mode.
fn successor(path: &Path, found: &Metadata) -> io::Result<NamedTempFile> {
    let next = scratch(directory(path))?;
    let made = next.as_file().metadata()?;
    if (made.uid(), made.gid()) != (found.uid(), found.gid()) {
        fchown(next.as_file(), Some(found.uid()), Some(found.gid()))?;
    }
    next.as_file().set_permissions(Permissions::from_mode(found.mode() & 0o7777))?;
    Ok(next)
}

/// Writes over a file that has to stay. The space is there before the first byte of the old content goes.
fn overwrite(file: &mut File, text: &[u8]) -> io::Result<()> {
    use std::io::Seek;
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
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    let blanks = [b' '; 4096];
    while bytes > 0 {
        let part = bytes.min(blanks.len() as u64);
        file.write_all(&blanks[..part as usize])?;
        bytes -= part;
    }
    file.sync_all()
}

/// Opens a device or FIFO without waiting for a reader. Written to, it may then take its time.
fn stream(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// Whether a path is another name of what standard output goes to, such as `/dev/stdout`.
fn is_stdout(found: &Metadata) -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    stdout.is_ok_and(|stdout| (stdout.dev(), stdout.ino()) == (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use nix::sys::stat::{Mode, SFlag, mknod};
    use nix::unistd::{geteuid, mkfifo};
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::{samples, terminal};

    fn scene() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        (directory, path)
    }

    fn json(path: &Path) -> Target {
        Target { kind: Kind::Json, path: Some(path.to_owned()) }
    }

    fn report() -> String {
        render(&samples::mixed(), Kind::Json, Options::default())
    }

    fn written(path: &Path) -> Result<(), WriteError> {
        let mut stdout = Vec::new();
        let ended = write(&samples::mixed(), &json(path), &mut stdout, Options::default());
        assert!(stdout.is_empty());
        ended
    }

    fn refused(path: &Path) -> String {
        let error = open(&[json(path)]).unwrap_err();
        error.to_string().replace(&path.display().to_string(), "PATH")
    }

    fn names(directory: &TempDir) -> usize {
        fs::read_dir(directory.path()).unwrap().count()
    }

    #[rstest]
    fn standard_output_gets_exactly_the_report(
        #[values(Kind::Terminal, Kind::Markdown, Kind::Json, Kind::Junit)] kind: Kind,
    ) {
        let report = samples::mixed();
        let mut stdout = Vec::new();
        write(&report, &Target { kind, path: None }, &mut stdout, Options::default()).unwrap();
        assert_eq!(String::from_utf8(stdout).unwrap(), render(&report, kind, Options::default()));
    }

    #[test]
    fn a_file_is_replaced_whole_plain_and_alone() {
        let (directory, path) = scene();
        fs::write(&path, "old").unwrap();
        let target = Target { kind: Kind::Terminal, path: Some(path.clone()) };
        let coloured = Options { width: 80, color: Color::Ansi };
        write(&samples::mixed(), &target, &mut Vec::new(), coloured).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, terminal::render(&samples::mixed(), Options::default()));
        assert_eq!(names(&directory), 1);
    }

    #[test]
    fn a_replaced_file_keeps_its_owner_and_mode() {
        let (_directory, path) = scene();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let owner = if geteuid().is_root() { 1234 } else { geteuid().as_raw() };
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        let old = fs::metadata(&path).unwrap();
        written(&path).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode()), (owner, old.gid(), old.mode()));
        assert_ne!(found.ino(), old.ino(), "in one step: another file took its place");
        assert_eq!(fs::read_to_string(&path).unwrap(), report());
    }

    #[rstest]
    #[case::to_a_file(true)]
    #[case::to_nothing_yet(false)]
    fn a_link_stays_and_what_it_points_to_is_written(#[case] there: bool) {
        let (directory, path) = scene();
        let real = directory.path().join("real");
        if there {
            fs::write(&real, "old").unwrap();
        }
        symlink("real", &path).unwrap();
        written(&path).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("real"));
        assert_eq!(fs::read_to_string(&real).unwrap(), report());
        assert_eq!(names(&directory), 2);
    }

    #[rstest]
    #[case::shorter("x")]
    #[case::longer(&"x".repeat(1 << 20))]
    fn a_file_with_two_names_keeps_both(#[case] old: &str) {
        let (directory, path) = scene();
        let other = directory.path().join("other");
        fs::write(&path, old).unwrap();
        fs::hard_link(&path, &other).unwrap();
        written(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), fs::metadata(&other).unwrap().ino());
        assert_eq!(fs::read_to_string(&other).unwrap(), report());
        assert_eq!(names(&directory), 2);
    }

    #[test]
    fn a_device_is_written_into_and_stays() {
        let (directory, path) = scene();
        // The numbers of /dev/null and /dev/full.
        let made = |path: &Path, minor| {
            mknod(path, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, nix::sys::stat::makedev(1, minor))
        };
        let full = directory.path().join("full");
        let own = made(&path, 3).and_then(|()| made(&full, 7)).is_ok() && stream(&path).is_ok();
        let (null, full) = match own {
            true => (path, full),
            // Who may not make devices may not replace those of the machine either.
            false if !geteuid().is_root() => ("/dev/null".into(), "/dev/full".into()),
            false => return eprintln!("skipped: devices in {} cannot be used", path.display()),
        };
        written(&null).unwrap();
        let error = written(&full).unwrap_err();
        assert!(matches!(error, WriteError::File { .. }), "{error}");
        for device in [null, full] {
            assert!(fs::symlink_metadata(device).unwrap().file_type().is_char_device());
        }
    }

    #[test]
    fn a_fifo_is_written_into_where_somebody_reads_and_refused_where_nobody_does() {
        let (_directory, path) = scene();
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        insta::assert_snapshot!(refused(&path), @"report PATH cannot be written: it is a FIFO that nobody reads; start its reader first");
        let from = path.clone();
        let reader = thread::spawn(move || fs::read_to_string(from).unwrap());
        let mut sinks = loop {
            if let Ok(sinks) = open(&[json(&path)]) {
                break sinks;
            }
            thread::yield_now();
        };
        sinks[0].write(&samples::mixed(), &mut Vec::new(), Options::default()).unwrap();
        drop(sinks);
        assert_eq!(reader.join().unwrap(), report());
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_socket_gets_the_report() {
        let (_directory, path) = scene();
        let listener = UnixListener::bind(&path).unwrap();
        let reader = thread::spawn(move || io::read_to_string(listener.accept().unwrap().0).unwrap());
        written(&path).unwrap();
        assert_eq!(reader.join().unwrap(), report());
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    }

    #[test]
    fn a_missing_directory_is_named_and_not_made() {
        let (directory, _) = scene();
        let missing = directory.path().join("reports");
        let error = open(&[json(&missing.join("r.json"))]).unwrap_err();
        assert!(matches!(&error, OpenError::NoDirectory { directory, .. } if *directory == missing));
        assert!(error.to_string().ends_with("cannot be written: create it first"), "{error}");
        assert!(!missing.exists());
    }

    #[test]
    fn a_directory_is_no_place_for_a_report() {
        let (directory, path) = scene();
        fs::create_dir(&path).unwrap();
        insta::assert_snapshot!(refused(&path), @"report PATH cannot be written: it is a directory; name a file in it");
        assert_eq!(names(&directory), 1);
    }

    #[test]
    fn what_may_not_be_written_is_known_before() {
        // No one may make files there.
        let error = open(&[json(Path::new("/proc/no-report"))]).unwrap_err();
        assert!(matches!(error, OpenError::Refused { .. }), "{error}");
        if geteuid().is_root() {
            return eprintln!("partly skipped: root may write what nobody may");
        }
        let (_directory, path) = scene();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        let error = open(&[json(&path)]).unwrap_err();
        assert!(matches!(error, OpenError::Refused { .. }), "{error}");
    }

    #[test]
    fn two_reports_never_share_a_file_by_whatever_names() {
        let (directory, path) = scene();
        let link = directory.path().join("link");
        symlink("report", &link).unwrap();
        for there in [false, true] {
            if there {
                fs::write(&path, "old").unwrap();
            }
            for second in [&path, &link, &directory.path().join(".").join("report")] {
                let error = open(&[json(&path), json(second)]).unwrap_err();
                assert!(matches!(error, OpenError::Twice { .. }), "{error}");
            }
        }
        assert_eq!(open(&[json(&path), json(&directory.path().join("other"))]).unwrap().len(), 2);
    }

    #[test]
    fn looking_at_a_place_changes_nothing() {
        let (directory, path) = scene();
        fs::write(&path, "old").unwrap();
        let other = directory.path().join("other");
        drop(open(&[json(&path), json(&other)]).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(&directory), 1);
    }

    /// A file system of one page that is full: old content outlives what does not fit.
    #[test]
    fn a_full_disk_leaves_the_old_content() {
        let (directory, _) = scene();
        let small = directory.path().join("small");
        fs::create_dir(&small).unwrap();
        let flags = nix::mount::MsFlags::empty();
        let mounted = nix::mount::mount(Some("bulkhead"), &small, Some("tmpfs"), flags, Some("size=8k"));
        if mounted.is_err() {
            eprintln!("skipped: only root can mount a small file system");
            return;
        }
        let (path, twice) = (small.join("report"), small.join("twice"));
        fs::write(&path, "old").unwrap();
        fs::write(&twice, "old").unwrap();
        fs::hard_link(&twice, small.join("name")).unwrap();
        let outcomes = [written(&path), written(&twice), written(&small.join("new"))];
        let contents = [fs::read_to_string(&path).unwrap(), fs::read_to_string(&twice).unwrap()];
        let left = fs::read_dir(&small).unwrap().count();
        nix::mount::umount(&small).unwrap();
        assert!(outcomes.iter().all(|ended| matches!(ended, Err(WriteError::File { .. }))), "{outcomes:?}");
        assert_eq!(contents, ["old", "old"]);
        assert_eq!(left, 3);
    }
}
