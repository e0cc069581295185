//! A request to execute → a process in a session and a cgroup of its own, its output, and how it ended.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use ci::wire::{Answer, CHUNK, Exit, Stream};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::Answers;

/// Bytes that wait for a command to read them.
const INPUT: i32 = 1 << 20;
const ENDED: &str = "it does not run any more";

/// What to run.
pub(crate) struct Order {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<String>,
    /// Whether its standard input is ours to write.
    pub(crate) told: bool,
}

/// A command that runs.
struct Running {
    pid: Pid,
    input: Option<ChildStdin>,
}

/// The commands that run.
pub(crate) struct Commands {
    running: Mutex<HashMap<u64, Running>>,
    /// `cgroup.procs` of the sub-cgroup that commands start in.
    cgroup: PathBuf,
}

impl Commands {
    /// Makes the sub-cgroup `exec` of the agent's own (which systemd has delegated), so that what happens to commands
    /// is counted and killed apart from the agent.
    pub(crate) fn new() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        // A restarted agent sits where its predecessor did.
        let directory = PathBuf::from("/sys/fs/cgroup").join(own).join("exec");
        fs::create_dir_all(&directory)?;
        Ok(Self { running: Mutex::default(), cgroup: directory.join("cgroup.procs") })
    }

    /// Signals the whole process group of a command.
    pub(crate) fn kill(&self, exec: u64, signal: i32) -> Result<(), String> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock is held: an id in the map has not been reaped, so its number cannot belong to somebody else.
        let pid = running.get(&exec).ok_or(ENDED)?.pid;
        let signal =
            nix::sys::signal::Signal::try_from(signal).map_err(|_| format!("there is no signal {signal}"))?;
        nix::sys::signal::killpg(pid, signal).map_err(|errno| errno.to_string())
    }

    /// Writes to a command's standard input, without waiting: one that does not read gets no more than its pipe holds.
    pub(crate) fn tell(&self, exec: u64, text: &[u8]) -> Result<(), String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let input = running.get_mut(&exec).ok_or(ENDED)?.input.as_mut();
        let input = input.ok_or("its standard input is empty")?;
        input.write_all(text).map_err(|error| error.to_string())
    }

    /// Runs a command to its end and answers everything about it.
    pub(crate) fn run(&self, id: u64, order: &Order, answers: &Answers) {
        let end = self.start(id, order).and_then(|mut child| {
            answers.send(id, Answer::Started { pid: child.id().cast_signed() });
            forward(&mut child, |stream, bytes| {
                answers.send(id, Answer::Output { stream, bytes: bytes.to_vec() });
            })?;
            self.reap(id, &mut child)
        });
        answers.send(
            id,
            match end {
                Ok(exit) => Answer::Exited(exit),
                Err(error) => Answer::Failed(format!("{}: {error}", order.argv.join(" "))),
            },
        );
    }

    fn start(&self, id: u64, order: &Order) -> io::Result<Child> {
        let (program, arguments) = order.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .envs(order.env.iter().map(|(name, value)| (name, value)))
            .current_dir(order.cwd.as_deref().unwrap_or("/"))
            .stdin(if order.told { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let cgroup = fs::OpenOptions::new().write(true).open(&self.cgroup)?;
        let oom_score_adj = std::ffi::CString::from(c"/proc/self/oom_score_adj");
        prepare_child(&mut command, cgroup, oom_score_adj);
        // The lock is held until the id is known, so that a kill that follows the start finds it.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = command.spawn()?;
        let (pid, input) = (Pid::from_raw(child.id().cast_signed()), child.stdin.take());
        if let Some(input) = &input {
            fcntl(input.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            fcntl(input.as_fd(), FcntlArg::F_SETPIPE_SZ(INPUT))?;
        }
        running.insert(id, Running { pid, input });
        Ok(child)
    }

    /// Takes the id off the list while the process is still a zombie, and reaps it then.
    fn reap(&self, id: u64, child: &mut Child) -> io::Result<Exit> {
        let pid = Pid::from_raw(child.id().cast_signed());
        loop {
            match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => break,
            }
        }
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        exit_of(child.wait()?)
    }
}

fn exit_of(status: ExitStatus) -> io::Result<Exit> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(Exit::Code(code)),
        (None, Some(signal)) => Ok(Exit::Signal(signal)),
        (None, None) => Err(io::Error::other(format!("neither exited nor killed: {status}"))),
    }
}

/// Between fork and exec: an own session, the cgroup of commands, and no protection from the OOM killer.
///
/// `oom_score_adj` is inherited, and a hog with the agent's −1000 cannot be killed: its cgroup's OOM killer would
/// look for a victim for ever.
#[expect(unsafe_code, reason = "`pre_exec` is the only way to act in the child before exec")]
fn prepare_child(command: &mut Command, cgroup: fs::File, oom_score_adj: std::ffi::CString) {
    let in_child = move || {
        nix::unistd::setsid()?;
        nix::unistd::write(&cgroup, b"0")?;
        let adjust =
            nix::fcntl::open(oom_score_adj.as_c_str(), OFlag::O_WRONLY, nix::sys::stat::Mode::empty())?;
        nix::unistd::write(&adjust, b"0")?;
        Ok(())
    };
    // SAFETY: only setsid, open, write and close run in the child, on memory that was made before the fork.
    unsafe { command.pre_exec(in_child) };
}

/// Passes on what the command writes until it has ended and its pipes are empty.
///
/// A process that it leaves behind may hold the pipes open for ever; what such a process writes later is lost.
fn forward(child: &mut Child, mut sink: impl FnMut(Stream, &[u8])) -> io::Result<()> {
    let ended = pidfd_of(child)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut outputs: Vec<(Stream, Box<dyn Pipe>)> = Vec::new();
    outputs.extend(stdout.map(|pipe| (Stream::Stdout, Box::new(pipe) as Box<dyn Pipe>)));
    outputs.extend(stderr.map(|pipe| (Stream::Stderr, Box::new(pipe) as Box<dyn Pipe>)));
    for (_, pipe) in &outputs {
        fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let mut buffer = vec![0; CHUNK];
    loop {
        let has_ended = wait_for_any(&ended, &outputs)?;
        outputs = outputs
            .into_iter()
            .filter_map(|(stream, mut pipe)| {
                drain(&mut pipe, &mut buffer, |bytes| sink(stream, bytes)).then_some((stream, pipe))
            })
            .collect();
        if has_ended {
            return Ok(());
        }
    }
}

trait Pipe: Read + AsFd {}
impl<T: Read + AsFd> Pipe for T {}

/// Waits for output or for the end of the process; true when it has ended.
fn wait_for_any(ended: &OwnedFd, outputs: &[(Stream, Box<dyn Pipe>)]) -> io::Result<bool> {
    let mut watched: Vec<_> =
        outputs.iter().map(|(_, pipe)| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
    watched.push(PollFd::new(ended.as_fd(), PollFlags::POLLIN));
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(watched.last().and_then(PollFd::any).unwrap_or(false)),
        }
    }
}

/// Empties a pipe; false when it has reached its end.
fn drain(pipe: &mut impl Read, buffer: &mut [u8], mut sink: impl FnMut(&[u8])) -> bool {
    loop {
        match pipe.read(buffer) {
            Ok(0) => return false,
            Ok(n) => sink(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

#[expect(unsafe_code, reason = "neither std nor nix wraps pidfd_open")]
fn pidfd_of(child: &Child) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for us, and nobody else has its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn run(script: &str) -> (Vec<u8>, Vec<u8>, Exit) {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        forward(&mut child, |stream, bytes| match stream {
            Stream::Stdout => out.extend_from_slice(bytes),
            Stream::Stderr => err.extend_from_slice(bytes),
        })
        .unwrap();
        (out, err, exit_of(child.wait().unwrap()).unwrap())
    }

    #[rstest]
    #[case("exit 0", Exit::Code(0))]
    #[case("exit 137", Exit::Code(137))]
    #[case("kill -9 $$", Exit::Signal(9))]
    #[case("kill -15 $$", Exit::Signal(15))]
    fn a_signal_is_told_from_an_exit_code(#[case] script: &str, #[case] exit: Exit) {
        assert_eq!(run(script).2, exit);
    }

    #[test]
    fn all_output_is_forwarded_however_long() {
        let (out, err, exit) = run("head -c 3000000 /dev/zero; echo trouble >&2");
        assert_eq!((out.len(), err.as_slice(), exit), (3_000_000, b"trouble\n".as_slice(), Exit::Code(0)));
    }

    #[test]
    fn a_process_left_behind_does_not_hold_up_the_end() {
        let (out, _, exit) = run("sleep 60 & echo $!");
        let left_behind = Pid::from_raw(String::from_utf8(out).unwrap().trim().parse().unwrap());
        nix::sys::signal::kill(left_behind, nix::sys::signal::Signal::SIGKILL).unwrap();
        assert_eq!(exit, Exit::Code(0));
    }
}
