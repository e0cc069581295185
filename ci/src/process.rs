//! A command line → a running QEMU with its sockets, that ends when this process does.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::console::Console;
use crate::qemu::Ports;
use crate::qmp::Qmp;

const PROGRAM: &str = "qemu-system-x86_64";

/// A running QEMU.
#[derive(Debug)]
pub(crate) struct Qemu {
    child: Mutex<Child>,
    pub(crate) monitor: Qmp,
    pub(crate) console: Arc<Console>,
    log: PathBuf,
    pub(crate) started: Instant,
}

/// The host's ends of the two virtio-serial ports.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) control: UnixStream,
    pub(crate) data: UnixStream,
}

impl Qemu {
    /// Starts QEMU with the command line that `arguments` makes of the sockets; what it says goes to a file in
    /// `scratch`.
    pub(crate) fn start(
        scratch: &Path,
        arguments: impl FnOnce(Ports) -> Vec<String>,
    ) -> io::Result<(Self, Links)> {
        let (console, console_end) = UnixStream::pair()?;
        let (monitor, monitor_end) = UnixStream::pair()?;
        let (control, control_end) = UnixStream::pair()?;
        let (data, data_end) = UnixStream::pair()?;
        let ports = Ports {
            console: console_end.as_raw_fd(),
            monitor: monitor_end.as_raw_fd(),
            control: control_end.as_raw_fd(),
            data: data_end.as_raw_fd(),
        };
        let log = scratch.join("qemu.log");
        let output = File::create(&log)?;
        let mut command = Command::new(PROGRAM);
        command.args(arguments(ports));
        // snapshot=on keeps its overlay in a file without a name here.
        command.env("TMPDIR", scratch);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let ends = [console_end, monitor_end, control_end, data_end].map(OwnedFd::from);
        let child = spawn_with_parent(command, ends.into())?;
        let qemu = Self {
            child: Mutex::new(child),
            monitor: Qmp::attach(monitor)?,
            console: Console::read(console),
            log,
            started: Instant::now(),
        };
        Ok((qemu, Links { control, data }))
    }

    /// Waits for the end; how it ended, or nothing when it still runs after that time.
    pub(crate) fn wait(&self, patience: Duration) -> Option<String> {
        if !self.monitor.wait_closed(patience) {
            return None;
        }
        self.console.wait_closed(patience);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        Some(child.wait().map_or_else(|error| error.to_string(), |status| status.to_string()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// What QEMU itself had to say.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim_end().to_owned()
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have exited on its own.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a child that the kernel kills when this process ends in whatever way, and that inherits these descriptors.
fn spawn_with_parent(command: Command, inherited: Vec<OwnedFd>) -> io::Result<Child> {
    type Job = (Command, Vec<OwnedFd>, Sender<io::Result<Child>>);
    static NURSERY: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    // PR_SET_PDEATHSIG means the death of the *thread* that forked (prctl(2)): this one ends only with the process.
    let nursery = NURSERY.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (command, inherited, answer) in jobs {
                let _ = answer.send(spawn(command, inherited));
            }
        });
        Mutex::new(sender)
    });
    let (sender, answer) = mpsc::channel();
    let nursery = nursery.lock().unwrap_or_else(PoisonError::into_inner).clone();
    nursery.send((command, inherited, sender)).map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)?
}

#[expect(unsafe_code, reason = "`pre_exec` is the only way to act in the child before exec")]
fn spawn(mut command: Command, inherited: Vec<OwnedFd>) -> io::Result<Child> {
    let parent = nix::unistd::getpid();
    let in_child = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        // The parent may have died before the line above.
        if nix::unistd::getppid() != parent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        for fd in &inherited {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: only prctl, getppid and fcntl run in the child, on memory that was made before the fork.
    unsafe { command.pre_exec(in_child) };
    command.spawn()
}
