//! One cgroup held open: samples without allocation, members, and kill.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{CgroupPath, Error, KillSwitch};
use crate::kernfile::{self, KernFile};
use crate::metric::{self, Field, SubjectKind};

/// Whether the cgroup was still there when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Presence {
    /// It exists.
    Present,
    /// It was removed: reads of its open files fail with `ENODEV` from then on, and its counters are lost.
    Gone,
}

/// One cgroup, with the files behind its metrics open. Holds up to eleven descriptors.
#[derive(Debug)]
pub struct CgroupDir {
    path: PathBuf,
    dir: OwnedFd,
    files: Vec<Metrics>,
}

/// A file, and the numbers that are wanted of it. Not there on a kernel that lacks it.
#[derive(Debug)]
struct Metrics {
    file: Option<KernFile>,
    fields: Vec<Field>,
}

impl CgroupDir {
    /// Opens the cgroup `path` below the mount point `root` (normally [`super::ROOT`]).
    ///
    /// # Errors
    /// [`Error::Gone`] when there is no such cgroup; otherwise what `open(2)` says. A file this kernel lacks is no error.
    pub fn open(root: &Path, path: &CgroupPath) -> Result<Self, Error> {
        let path = path.below(root);
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let dir = open(&path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::ENOENT => Error::Gone { path: path.clone() },
            errno => Error::Io { action: "open", path: path.clone(), source: errno.into() },
        })?;
        let open_metrics = |(name, fields)| match KernFile::open_at(dir.as_fd(), name) {
            Ok(file) => Ok(Metrics { file, fields }),
            Err(source) => Err(Error::Io { action: "open", path: path.join(name), source }),
        };
        let files =
            metric::files(SubjectKind::Cgroup).into_iter().map(open_metrics).collect::<Result<_, _>>()?;
        Ok(Self { path, dir, files })
    }

    /// The directory of this cgroup.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills one value for each column of a cgroup ([`metric::columns`]), reading each file once with `pread(2)`; allocates
    /// nothing. What this kernel does not have or cannot say (`memory.pressure` with PSI off) is `None`.
    ///
    /// # Panics
    /// When `row` is shorter than that.
    pub fn read(&mut self, row: &mut [Option<u64>]) -> Presence {
        let mut buffer = [0; kernfile::BUFFER];
        let mut rest = row;
        let mut presence = Presence::Present;
        for Metrics { file, fields, .. } in &self.files {
            let (cells, after) = rest.split_at_mut(fields.len());
            rest = after;
            cells.fill(None);
            let Some(file) = file else { continue };
            match file.read_once(&mut buffer) {
                Ok(text) => cells.iter_mut().zip(fields).for_each(|(cell, field)| *cell = field.value(text)),
                Err(Errno::ENODEV) => presence = Presence::Gone,
                // Unreadable here and now, for example EOPNOTSUPP where PSI is off: unknown, which the row says.
                Err(_) => {}
            }
        }
        presence
    }

    /// The processes in this cgroup itself, without those of cgroups below it.
    ///
    /// # Errors
    /// When the cgroup is gone or `cgroup.procs` cannot be read.
    pub fn procs(&self) -> Result<Vec<u32>, Error> {
        let text = self.text("cgroup.procs")?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.split_ascii_whitespace()
            .map(|word| {
                word.parse().map_err(|_| Error::Unexpected {
                    path: self.path.join("cgroup.procs"),
                    text: word.to_owned(),
                    expected: "process id",
                })
            })
            .collect()
    }

    /// Whether any process lives in this cgroup or below it. Zombies do not count.
    ///
    /// # Errors
    /// When the cgroup is gone or `cgroup.events` cannot be read.
    pub fn populated(&self) -> Result<bool, Error> {
        let text = self.text("cgroup.events")?.unwrap_or_default();
        self.populated_in(&text)
    }

    /// Kills every process in this cgroup and below it with SIGKILL at once, safe against forks (`cgroup.kill`,
    /// Linux 5.14).
    ///
    /// # Errors
    /// When the cgroup is gone, or the kernel refuses: `EOPNOTSUPP` in a threaded cgroup.
    pub fn kill(&self) -> Result<(), Error> {
        KillSwitch::open(self)?.pull().map_err(|errno| self.failed("write", "cgroup.kill", errno.into()))
    }

    /// Whether the open directory has lost its files. Every cgroup has `cgroup.procs`; the path is not asked, because a
    /// new cgroup of the same name may stand there by now.
    pub(super) fn is_gone(&self) -> bool {
        matches!(KernFile::open_at(self.dir.as_fd(), "cgroup.procs"), Ok(None))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The error of an action on `file`: a removed cgroup says `ENODEV` on open files and `ENOENT` on new ones.
    pub(super) fn failed(&self, action: &'static str, file: &str, source: io::Error) -> Error {
        let removed = source.raw_os_error() == Some(libc::ENODEV)
            || (source.kind() == io::ErrorKind::NotFound && self.is_gone());
        if removed {
            Error::Gone { path: self.path.clone() }
        } else {
            Error::Io { action, path: self.path.join(file), source }
        }
    }

    fn populated_in(&self, text: &[u8]) -> Result<bool, Error> {
        kernfile::value(text, "populated").map(|count| count != 0).ok_or_else(|| Error::Unexpected {
            path: self.path.join("cgroup.events"),
            text: String::from_utf8_lossy(text).into_owned(),
            expected: "list with `populated`",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cgroup as Linux 6.1 has it (no `memory.swap.peak`), without PSI.
    fn tree() -> (tempfile::TempDir, CgroupDir) {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dir = root.path().join("bulkhead.slice/work.scope");
        std::fs::create_dir_all(&dir).expect("mkdir");
        for (file, text) in [
            ("cgroup.procs", "17\n18\n"),
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("memory.current", "1048576\n"),
            ("memory.peak", "2097152\n"),
            ("memory.events", "low 0\nhigh 3\nmax 18\noom 1\noom_kill 2\n"),
            ("memory.events.local", "low 0\nhigh 3\nmax 18\noom 1\noom_kill 0\noom_group_kill 0\n"),
            ("memory.stat", "anon 4096\nfile 8192\nkernel 100\npgscan 7\npgscan_kswapd 5\n"),
            ("memory.swap.current", "0\n"),
            ("cpu.stat", "usage_usec 1234\nuser_usec 1000\n"),
            ("memory.min", "0\n"),
            ("memory.max", "536870912\n"),
            ("memory.high", "max\n"),
            ("memory.oom.group", "0\n"),
        ] {
            std::fs::write(dir.join(file), text).expect("write");
        }
        let path = "/bulkhead.slice/work.scope".parse().expect("a path");
        let cgroup = CgroupDir::open(root.path(), &path).expect("open");
        (root, cgroup)
    }

    fn row(cgroup: &mut CgroupDir) -> Vec<(&'static str, u64)> {
        let mut row = vec![Some(99); metric::columns(SubjectKind::Cgroup).count()];
        assert_eq!(cgroup.read(&mut row), Presence::Present);
        let named = metric::columns(SubjectKind::Cgroup).zip(row);
        named.filter_map(|(info, value)| Some((info.name, value?))).collect()
    }

    #[test]
    fn each_value_lands_in_its_own_column_and_what_is_absent_is_unknown() {
        let (_root, mut cgroup) = tree();
        assert_eq!(
            row(&mut cgroup),
            [
                ("memory.current", 1_048_576),
                ("memory.peak", 2_097_152),
                ("memory.events.low", 0),
                ("memory.events.high", 3),
                ("memory.events.max", 18),
                ("memory.events.oom", 1),
                ("memory.events.oom_kill", 2),
                ("memory.events.local.low", 0),
                ("memory.events.local.high", 3),
                ("memory.events.local.max", 18),
                ("memory.events.local.oom", 1),
                ("memory.events.local.oom_kill", 0),
                ("memory.events.local.oom_group_kill", 0),
                ("memory.stat.anon", 4096),
                ("memory.stat.file", 8192),
                ("memory.stat.kernel", 100),
                ("memory.stat.pgscan", 7),
                ("memory.swap.current", 0),
                ("cpu.usage", 1234),
            ]
        );
    }

    #[test]
    fn a_value_that_vanishes_does_not_linger_in_the_next_row() {
        let (root, mut cgroup) = tree();
        let file = root.path().join("bulkhead.slice/work.scope/memory.stat");
        std::fs::write(file, "anon 1\n").expect("write");
        let stat: Vec<_> = row(&mut cgroup).into_iter().filter(|(name, _)| name.contains("stat")).collect();
        assert_eq!(stat, [("memory.stat.anon", 1)]);
    }

    #[test]
    fn members_and_population_are_read() {
        let (root, cgroup) = tree();
        assert_eq!(cgroup.procs().expect("procs"), [17, 18]);
        assert!(cgroup.populated().expect("populated"));
        let dir = root.path().join("bulkhead.slice/work.scope");
        std::fs::write(dir.join("cgroup.events"), "populated 0\n").expect("write");
        assert!(!cgroup.populated().expect("populated"));
    }

    #[test]
    fn a_removed_cgroup_is_gone_and_not_empty_of_facts() {
        let (root, cgroup) = tree();
        std::fs::remove_dir_all(root.path().join("bulkhead.slice/work.scope")).expect("rm");
        assert!(matches!(cgroup.procs(), Err(Error::Gone { .. })));
        assert!(matches!(cgroup.kill(), Err(Error::Gone { .. })));
        let path = "/bulkhead.slice/work.scope".parse().expect("a path");
        assert!(matches!(CgroupDir::open(root.path(), &path), Err(Error::Gone { .. })));
    }
}
