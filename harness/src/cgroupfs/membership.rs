//! Which cgroup a process is in.

use std::io;
use std::path::Path;

use super::{CgroupPath, Error};

/// The cgroup of process `pid`, from `PROC/PID/cgroup` (`proc` is normally `/proc`).
///
/// # Errors
/// [`Error::Gone`] when there is no such process or its cgroup has been removed (a zombie's cgroup can go before it
/// does); otherwise when the file cannot be read or shows no cgroup v2 membership.
pub fn cgroup_of(proc: &Path, pid: u32) -> Result<CgroupPath, Error> {
    let path = proc.join(pid.to_string()).join("cgroup");
    let text = std::fs::read_to_string(&path).map_err(|source| {
        // ESRCH: the process was reaped between open and read.
        if source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(libc::ESRCH) {
            Error::Gone { path: path.clone() }
        } else {
            Error::Io { action: "read", path: path.clone(), source }
        }
    })?;
    let unexpected = || Error::Unexpected {
        path: path.clone(),
        text: text.clone(),
        expected: "line `0::/…` of cgroup v2",
    };
    let member = text.lines().find_map(|line| line.strip_prefix("0::")).ok_or_else(unexpected)?;
    if member.ends_with(" (deleted)") {
        return Err(Error::Gone { path });
    }
    member.parse().map_err(|_| unexpected())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc_with(text: &str) -> tempfile::TempDir {
        let proc = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(proc.path().join("42")).expect("mkdir");
        std::fs::write(proc.path().join("42/cgroup"), text).expect("write");
        proc
    }

    #[test]
    fn the_version_2_line_is_found_among_others() {
        let proc = proc_with("4:memory:/old\n0::/system.slice/ssh.service\n");
        assert_eq!(cgroup_of(proc.path(), 42).expect("a cgroup").as_str(), "/system.slice/ssh.service");
    }

    #[test]
    fn a_process_in_a_removed_cgroup_or_no_process_at_all_is_gone() {
        let proc = proc_with("0::/a.slice/b.scope (deleted)\n");
        assert!(matches!(cgroup_of(proc.path(), 42), Err(Error::Gone { .. })));
        assert!(matches!(cgroup_of(proc.path(), 43), Err(Error::Gone { .. })));
    }

    #[test]
    fn a_machine_without_cgroup_v2_is_refused_with_what_it_showed() {
        let proc = proc_with("4:memory:/old\n");
        let error = cgroup_of(proc.path(), 42).expect_err("no cgroup v2");
        assert!(error.to_string().contains("4:memory:/old"), "{error}");
    }
}
