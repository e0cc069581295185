//! `cgroup.kill`, opened while there is time, so that nothing has to be found or allocated when it is pulled.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::{CgroupDir, Error};

const FILE: &str = "cgroup.kill";

/// Ends every process of one cgroup and of those below it.
#[derive(Debug)]
pub struct KillSwitch(OwnedFd);

impl KillSwitch {
    /// Opens the switch of a cgroup (Linux 5.14).
    ///
    /// # Errors
    /// When the cgroup is gone or has no such file.
    pub fn open(cgroup: &CgroupDir) -> Result<Self, Error> {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        openat(cgroup.fd(), FILE, flags, Mode::empty())
            .map(Self)
            .map_err(|errno| cgroup.failed("open", FILE, errno.into()))
    }

    /// Kills with SIGKILL, at once and safe against forks. Allocates nothing.
    ///
    /// # Errors
    /// `ENODEV` when the cgroup is gone; `EOPNOTSUPP` in a threaded one.
    pub fn pull(&self) -> Result<(), Errno> {
        nix::unistd::write(self.0.as_fd(), b"1").map(drop)
    }
}
