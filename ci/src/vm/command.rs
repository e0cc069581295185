//! A command for the guest, and one that runs there.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::wire::{Answer, Ask, Exit, Stream};

use super::{Busy, Machine, VmError};

/// What to run in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    cwd: Option<String>,
    told: bool,
    timeout: Option<Duration>,
}

impl Command {
    /// A program, searched in PATH.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self { argv: vec![program.into()], env: Vec::new(), cwd: None, told: false, timeout: None }
    }

    /// A script for `sh`.
    #[must_use]
    pub fn sh(script: impl Into<String>) -> Self {
        Self::new("sh").arg("-c").arg(script)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.argv.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable. Nothing of the agent's environment is inherited; PATH, HOME and LANG have defaults.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the working directory; `/` otherwise.
    #[must_use]
    pub fn cwd(mut self, directory: impl Into<String>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// Keeps its standard input open for [`Running::tell`]; otherwise that is empty.
    #[must_use]
    pub fn told(mut self) -> Self {
        self.told = true;
        self
    }

    /// Kills it, and everything in its process group, after this time; never otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl Command {
    /// The same, killed after this time unless it has a shorter time of its own.
    #[must_use]
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.timeout = Some(self.timeout.map_or(patience, |own| own.min(patience)));
        self
    }
}

/// Its words, as a person would type them.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.argv.join(" "))
    }
}

/// A command that was started. Dropping it lets it run on.
#[derive(Debug)]
pub struct Running {
    machine: Arc<Machine>,
    what: String,
    id: u64,
    pid: i32,
    answers: Receiver<Answer>,
    deadline: Option<(Instant, Duration)>,
    unread: VecDeque<(Stream, Vec<u8>)>,
    exit: Option<Exit>,
    _busy: Busy,
}

impl Running {
    pub(super) fn start(machine: &Arc<Machine>, command: &Command) -> Result<Self, VmError> {
        let busy = Busy::with(machine);
        let deadline = command.timeout.map(|timeout| (Instant::now() + timeout, timeout));
        let Command { argv, env, cwd, told, .. } = command.clone();
        let what = argv.join(" ");
        let (id, answers) = machine.agent.send(Ask::Exec { argv, env, cwd, told });
        match answers.recv() {
            Ok(Answer::Started { pid }) => Ok(Self {
                machine: Arc::clone(machine),
                what,
                id,
                pid,
                answers,
                deadline,
                unread: VecDeque::new(),
                exit: None,
                _busy: busy,
            }),
            Ok(Answer::Failed(why)) => Err(VmError::Agent { why }),
            Ok(other) => Err(VmError::Agent { why: format!("{what}: unexpected answer {other:?}") }),
            Err(_) => Err(machine.failure()),
        }
    }

    /// Its process id in the guest, which is also its process group and session.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the next piece of what it writes; none when it has ended.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn read(&mut self) -> Result<Option<(Stream, Vec<u8>)>, VmError> {
        while self.unread.is_empty() && self.exit.is_none() {
            self.take(self.deadline)?;
        }
        Ok(self.unread.pop_front())
    }

    /// Waits for its end; `sink` gets what it writes, and first what it has written so far.
    ///
    /// # Errors
    /// The machine failed, or the command's timeout passed (and it was killed).
    pub fn wait(&mut self, sink: &mut dyn FnMut(Stream, &[u8])) -> Result<Exit, VmError> {
        while let Some((stream, bytes)) = self.read()? {
            sink(stream, &bytes);
        }
        self.exit.ok_or_else(|| self.machine.failure())
    }

    /// How it ended, if it has. What it writes is kept for [`wait`](Self::wait).
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<Exit>, VmError> {
        let now = Instant::now();
        while self.exit.is_none() {
            match self.deadline {
                Some((deadline, _)) if deadline <= now => self.take(self.deadline)?,
                _ => match self.answers.try_recv() {
                    Ok(answer) => self.keep(answer)?,
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(self.machine.failure()),
                },
            }
        }
        Ok(self.exit)
    }

    /// Sends a signal to its whole process group.
    ///
    /// # Errors
    /// The machine failed, or the command has ended.
    pub fn kill(&self, signal: Signal) -> Result<(), VmError> {
        let kill = Ask::Kill { exec: self.id, signal: signal as i32 };
        self.machine.ask(kill, self.machine.pulse_deadline).map(drop)
    }

    /// Writes to its standard input, which has to be a [told](Command::told) command's.
    ///
    /// # Errors
    /// The machine failed, the command has ended, or it does not read what it is told.
    pub fn tell(&self, bytes: impl AsRef<[u8]>) -> Result<(), VmError> {
        self.teller().tell(bytes)
    }

    /// What writes to its standard input from another thread.
    #[must_use]
    pub fn teller(&self) -> Teller {
        Teller { machine: Arc::clone(&self.machine), id: self.id }
    }

    /// Waits for one answer.
    fn take(&mut self, deadline: Option<(Instant, Duration)>) -> Result<(), VmError> {
        let answer = match deadline {
            None => self.answers.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((at, _)) => self.answers.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match (answer, deadline) {
            (Ok(answer), _) => self.keep(answer),
            (Err(RecvTimeoutError::Timeout), Some((_, after))) => {
                // It may have ended in this moment; that it took too long stays true.
                let _ = self.kill(Signal::SIGKILL);
                Err(VmError::Timeout { what: self.what.clone(), after })
            }
            (Err(_), _) => Err(self.machine.failure()),
        }
    }

    fn keep(&mut self, answer: Answer) -> Result<(), VmError> {
        match answer {
            Answer::Output { stream, bytes } => self.unread.push_back((stream, bytes)),
            Answer::Exited(exit) => self.exit = Some(exit),
            Answer::Failed(why) => return Err(VmError::Agent { why }),
            other => {
                return Err(VmError::Agent { why: format!("{}: unexpected answer {other:?}", self.what) });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_one_argument() {
        let command = Command::sh("echo 'a  b'").env("A", "1").cwd("/tmp");
        assert_eq!(command.argv, ["sh", "-c", "echo 'a  b'"]);
        assert_eq!(command.env, [("A".into(), "1".into())]);
    }
}

/// The standard input of a running command.
#[derive(Debug, Clone)]
pub struct Teller {
    machine: Arc<Machine>,
    id: u64,
}

impl Teller {
    /// Writes to it.
    ///
    /// # Errors
    /// As [`Running::tell`].
    pub fn tell(&self, bytes: impl AsRef<[u8]>) -> Result<(), VmError> {
        let tell = Ask::Tell { exec: self.id, bytes: bytes.as_ref().to_vec() };
        self.machine.ask(tell, self.machine.pulse_deadline).map(drop)
    }
}
