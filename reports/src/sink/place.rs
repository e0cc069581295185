//! A path → what stands there, and so how a report is written to it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::OpenError;
use super::replace::{directory, overwrite, scratch, successor};

/// What stands at a path, and so how it is written.
#[derive(Debug)]
pub(super) enum Place {
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

impl Place {
    pub(super) fn at(path: &Path) -> Result<Self, OpenError> {
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
            return Err(unfit("a block device, whose contents would be lost"));
        } else if kind.is_socket() {
            return Ok(Self::Socket { stream: UnixStream::connect(path).map_err(refused)? });
        } else if !kind.is_file() {
            return stream(path).map(|file| Self::Stream { file }).map_err(|error| {
                if error.raw_os_error() == Some(Errno::ENXIO as i32) {
                    unfit("a FIFO without a reader; start the reader first")
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
    pub(super) fn is_same(&self, other: &Self) -> bool {
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

    pub(super) fn write(&mut self, text: &[u8], stdout: &mut dyn Write) -> io::Result<()> {
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

/// Opens a device or FIFO without waiting for a reader. Written to, it may then take its time.
pub(super) fn stream(path: &Path) -> io::Result<File> {
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
