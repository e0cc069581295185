//! A running guest: commands in it, files out of it, and what became of it when it fails.
//!
//! It judges nothing. A command that a signal ended is an [`Exit::Signal`]; a guest that panicked, hung or switched
//! itself off is a [`VmError`] that says which.

mod command;
mod failure;
mod fetch;
mod pulse;
mod share;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::agent::{Agent, Expect};
use crate::cache::Scratch;
use crate::process::{Links, Qemu};
use crate::qemu::SWAP_PATH;
use crate::wire::{Answer, Ask, Exit, Stream};

pub use command::{Command, Running, Teller};
pub use failure::VmError;
pub use share::HostShare;

use pulse::Pulse;

/// How long the agent may take to answer while a command runs. During a global OOM it was never above 10 ms.
pub const PULSE_DEADLINE: Duration = Duration::from_secs(10);

/// A running guest. Dropping it ends its QEMU and removes its files.
#[derive(Debug)]
pub struct Vm {
    // Dropped in this order: nobody asks any more, QEMU ends, its files go.
    pulse: Pulse,
    machine: Arc<Machine>,
    _scratch: Scratch,
}

/// What a machine's threads share.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) qemu: Qemu,
    pub(crate) agent: Agent,
    failure: OnceLock<VmError>,
    /// Requests under way.
    busy: AtomicUsize,
    pulse_deadline: Duration,
}

impl Machine {
    pub(crate) fn new(
        qemu: Qemu,
        links: Links,
        expect: Expect,
        pulse_deadline: Duration,
    ) -> std::io::Result<Self> {
        let agent = Agent::attach(links, expect, pulse_deadline)?;
        Ok(Self { qemu, agent, failure: OnceLock::new(), busy: AtomicUsize::new(0), pulse_deadline })
    }

    /// A request with one answer.
    pub(crate) fn ask(&self, ask: Ask, patience: Duration) -> Result<Answer, VmError> {
        let what = format!("{ask:?}");
        let (id, answers) = self.agent.send(ask);
        match answers.recv_timeout(patience) {
            Ok(Answer::Failed(why)) => Err(VmError::Agent { why }),
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Disconnected) => Err(self.failure()),
            Err(RecvTimeoutError::Timeout) => {
                self.agent.forget(id);
                Err(VmError::Timeout { what, after: patience })
            }
        }
    }

    /// A clone wakes up at the time its template was frozen.
    pub(crate) fn set_clock(&self) -> Result<(), VmError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let nanoseconds = i64::from(now.subsec_nanos());
        self.ask(Ask::SetClock { seconds, nanoseconds }, self.pulse_deadline).map(drop)
    }

    /// What became of a machine whose channel has closed.
    pub(crate) fn failure(&self) -> VmError {
        self.failure.get_or_init(|| failure::diagnose(self)).clone()
    }

    /// Ends a machine that does not answer. Whoever asks in the meantime why its command has no end waits for the
    /// answer: QEMU's exit, which the interrogation brings about, is not to be taken for a panic of the guest's own.
    fn fail_as_hung(&self) {
        self.failure.get_or_init(|| failure::interrogate(self, self.pulse_deadline));
        self.agent.give_up();
    }
}

/// A request under way, while which the agent's pulse is watched.
#[derive(Debug)]
struct Busy(Arc<Machine>);

impl Busy {
    fn with(machine: &Arc<Machine>) -> Self {
        machine.busy.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(machine))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Vm {
    pub(crate) fn new(machine: Machine, scratch: Scratch) -> Self {
        let machine = Arc::new(machine);
        Self { pulse: Pulse::watch(&machine), machine, _scratch: scratch }
    }

    /// The process id of its QEMU.
    #[must_use]
    pub fn qemu_pid(&self) -> u32 {
        self.machine.qemu.pid()
    }

    /// How its QEMU has shared this machine's processors so far; none where the kernel does not tell.
    #[must_use]
    pub fn host_share(&self) -> Option<HostShare> {
        HostShare::of(Path::new("/proc"), self.qemu_pid())
    }

    /// Runs a command to its end; `sink` gets what it writes, as it writes it.
    ///
    /// Several threads may do this at once. The command runs as root in a session and process group of its own, with
    /// `oom_score_adj` 0, in the cgroup `system.slice/bulkhead-agent.service/exec`, with nothing on its standard input unless
    /// it is [told](Command::told) something.
    /// A process it leaves behind keeps running, but what that one writes is lost.
    ///
    /// # Errors
    /// The machine failed, the command could not be started, or it ran longer than its timeout (and was killed).
    pub fn exec(&self, command: &Command, sink: &mut dyn FnMut(Stream, &[u8])) -> Result<Exit, VmError> {
        self.start(command)?.wait(sink)
    }

    /// Runs a command to its end and returns what it wrote to both outputs, in order.
    ///
    /// # Errors
    /// As [`exec`](Self::exec).
    pub fn output(&self, command: &Command) -> Result<(Exit, String), VmError> {
        let mut text = Vec::new();
        let exit = self.exec(command, &mut |_, bytes| text.extend_from_slice(bytes))?;
        Ok((exit, String::from_utf8_lossy(&text).into_owned()))
    }

    /// Starts a command and returns while it runs.
    ///
    /// # Errors
    /// The machine failed, or the command could not be started.
    pub fn start(&self, command: &Command) -> Result<Running, VmError> {
        Running::start(&self.machine, command)
    }

    /// Copies a file, or a directory's content, out of the guest: a file becomes the file `into`, a directory the
    /// directory `into`. Length and digest are compared with what the guest has read.
    ///
    /// # Errors
    /// The machine failed, there is no such path, it arrived damaged, or `into` cannot be written.
    pub fn fetch(&self, guest_path: &Path, into: &Path) -> Result<(), VmError> {
        let _busy = Busy::with(&self.machine);
        fetch::fetch(&self.machine, guest_path, into)
    }

    /// The last lines the guest wrote to its console.
    #[must_use]
    pub fn console_tail(&self, lines: usize) -> String {
        self.machine.qemu.console.tail(lines)
    }

    /// Limits the swap device to that many bytes a second, reading and writing together; 0 lifts the limit.
    ///
    /// # Errors
    /// QEMU refuses, or is gone.
    pub fn throttle_swap(&self, bytes_per_second: u64) -> Result<(), VmError> {
        let limits = json!({
            "id": SWAP_PATH, "group": "swap", "bps": bytes_per_second,
            "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        self.qmp("block_set_io_throttle", &limits).map(drop)
    }

    /// Any command of QEMU's machine protocol.
    ///
    /// # Errors
    /// QEMU refuses, or is gone.
    pub fn qmp(&self, command: &str, arguments: &Value) -> Result<Value, VmError> {
        self.machine.qemu.monitor.execute(command, arguments).map_err(|error| match error {
            crate::qmp::QmpError::Gone(_) => self.machine.failure(),
            error => VmError::Qmp(error),
        })
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.pulse.stop();
        self.machine.agent.give_up();
        self.machine.qemu.kill();
    }
}
