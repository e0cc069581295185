//! Several processes that share a balloon. The parent forks them, notes how each one ends, and passes on a
//! request to end. It holds no memory of the balloon itself, and asks the kernel for no help against orphans: a
//! child that died because its parent did would look like a killer's work.

use crate::inflate::Balloon;
use crate::order::Order;
use crate::status::Page;
use crate::trouble::Trouble;
use crate::{start, text};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::sync::atomic::Ordering::Relaxed;

/// Forks the processes and waits for all of them.
pub(crate) fn run(order: &Order, page: &Page, began_ns: u64) -> Result<(), Trouble> {
    let mut signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT]);
    if order.ignore_sigterm {
        // A blocked signal would be delivered to sigwait(3) although it is ignored.
        signals.remove(Signal::SIGTERM);
    }
    let blocked = |errno| Trouble::system("block signals", errno);
    signals.thread_block().map_err(blocked)?;
    let mut crew =
        Crew { page, pids: Vec::with_capacity(order.processes as usize), alive: 0, killed: 0, failed: 0 };
    for index in 0..order.processes {
        // Counted before it is there: a child may hold its share before this process runs again.
        page.fields().children.fetch_add(1, Relaxed);
        match start::fork() {
            Ok(Some(pid)) => crew.hire(pid),
            Ok(None) => {
                sign(page, index as usize, Pid::this());
                let _ = signals.thread_unblock();
                std::process::exit(work(&order.share(index), page, index as usize, began_ns));
            }
            Err(errno) => {
                page.fields().children.fetch_sub(1, Relaxed);
                // Not SIGTERM, which they may ignore.
                crew.forward(Signal::SIGKILL);
                return Err(Trouble::system(
                    format!("fork process {} of {}", index + 1, order.processes),
                    errno,
                ));
            }
        }
    }
    let ended_by = crew.wait_for_all(&signals)?;
    if let Some(signal) = ended_by {
        // The parent ends as its own parent asked, so that its wait status tells the truth.
        signals.thread_unblock().map_err(blocked)?;
        raise(signal).map_err(|errno| Trouble::system(format!("raise {signal}"), errno))?;
    }
    crew.verdict(order.processes)
}

/// Notes who has a slot: parent and child alike, whoever comes first.
fn sign(page: &Page, slot: usize, pid: Pid) {
    page.fields().pids[slot].store(pid.as_raw().unsigned_abs(), Relaxed);
}

/// A child's whole life; returns its exit code.
fn work(order: &Order, page: &Page, slot: usize, began_ns: u64) -> i32 {
    let done = text::settle(order.text)
        .and_then(|()| Balloon::new(order, page, slot, began_ns))
        .and_then(Balloon::follow);
    match done {
        Ok(()) => 0,
        Err(trouble) => {
            page.fail(&trouble.line(), trouble.errno());
            trouble.exit_code().into()
        }
    }
}

struct Crew<'a> {
    page: &'a Page,
    /// By slot; `None` once it has ended.
    pids: Vec<Option<Pid>>,
    alive: usize,
    killed: u32,
    failed: u32,
}

impl Crew<'_> {
    fn hire(&mut self, pid: Pid) {
        sign(self.page, self.pids.len(), pid);
        self.pids.push(Some(pid));
        self.alive += 1;
    }

    fn forward(&self, signal: Signal) {
        for pid in self.pids.iter().flatten() {
            // Not yet reaped, so the pid is still this child's; a child that has already ended does not mind.
            let _ = kill(*pid, signal);
        }
    }

    /// Returns the signal that asked for the end, if one did.
    fn wait_for_all(&mut self, signals: &SigSet) -> Result<Option<Signal>, Trouble> {
        let mut ended_by = None;
        while self.alive > 0 {
            match signals.wait() {
                Ok(Signal::SIGCHLD) => self.reap(),
                Ok(signal) => {
                    self.forward(signal);
                    ended_by = Some(signal);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Trouble::system("wait for signals", errno)),
            }
        }
        Ok(ended_by)
    }

    /// One SIGCHLD can stand for several children.
    fn reap(&mut self) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let fields = self.page.fields();
            let pid = match status {
                WaitStatus::Exited(pid, code) => {
                    fields.children_ended.fetch_add(1, Relaxed);
                    self.failed += u32::from(code != 0);
                    pid
                }
                WaitStatus::Signaled(pid, _, _) => {
                    fields.children_killed.fetch_add(1, Relaxed);
                    self.killed += 1;
                    pid
                }
                WaitStatus::StillAlive => return,
                _ => continue,
            };
            self.bury(pid);
        }
    }

    /// The memory of a dead child is gone; its own cell keeps what it had.
    fn bury(&mut self, pid: Pid) {
        let Some(slot) = self.pids.iter().position(|&known| known == Some(pid)) else { return };
        let fields = self.page.fields();
        fields.touched.fetch_sub(fields.touched_by[slot].load(Relaxed), Relaxed);
        self.pids[slot] = None;
        self.alive -= 1;
        self.page.alive();
    }

    fn verdict(&self, all: u32) -> Result<(), Trouble> {
        match (self.killed, self.failed) {
            (0, 0) => Ok(()),
            (0, failed) => Err(Trouble::ProcessesFailed { failed, all }),
            (killed, _) => Err(Trouble::ProcessesKilled { killed, all }),
        }
    }
}
