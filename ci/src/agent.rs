//! The host's end of the channel to the agent: requests with an id → the answers that carry it.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::process::Links;
use crate::wire::{self, Answer, Ask, Reply, Request};

/// The channel of one machine.
#[derive(Debug)]
pub(crate) struct Agent {
    control: Mutex<UnixStream>,
    pub(crate) data: Mutex<UnixStream>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, Sender<Answer>>,
    there: bool,
    closed: Option<Closed>,
}

/// Why a channel carries nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// QEMU is gone, or going.
    HungUp,
    /// The agent started again: what it ran before is lost.
    Restarted,
    /// We gave up on the machine.
    GivenUp,
}

/// Whether the agent on the other end runs already, or says so when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A machine that boots.
    Start,
    /// A clone, whose agent was frozen while it waited.
    Running,
}

impl Agent {
    /// Reads in the background until the machine is gone. A write that the guest does not take within `patience`
    /// fails, as a guest that does not read is as dead as one that does not answer.
    pub(crate) fn attach(links: Links, expect: Expect, patience: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.lock().there = expect == Expect::Running;
        let control = links.control.try_clone()?;
        control.set_write_timeout(Some(patience))?;
        let reader = Arc::clone(&shared);
        thread::spawn(move || {
            let mut control = BufReader::new(links.control);
            while let Ok(Some(reply)) = wire::next_reply(&mut control) {
                reader.receive(reply);
            }
            reader.close(Closed::HungUp);
        });
        Ok(Self { control: Mutex::new(control), data: Mutex::new(links.data), shared })
    }

    /// Sends a request; its answers come out of the receiver, which ends when the channel closes.
    pub(crate) fn send(&self, ask: Ask) -> (u64, Receiver<Answer>) {
        let (sender, answers) = mpsc::channel();
        let id = {
            let mut state = self.shared.lock();
            state.next += 1;
            let id = state.next;
            if state.closed.is_none() {
                state.waiting.insert(id, sender);
            }
            id
        };
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if wire::ask(&mut *control, &Request { id, ask }).is_err() {
            self.forget(id);
        }
        (id, answers)
    }

    /// Nobody waits for this one any more.
    pub(crate) fn forget(&self, id: u64) {
        self.shared.lock().waiting.remove(&id);
    }

    /// Waits until the agent is there, or the channel has closed.
    pub(crate) fn wait_there(&self, patience: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |state| !state.there && state.closed.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.there
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        self.shared.lock().closed
    }

    /// Wakes everybody who waits for an answer.
    pub(crate) fn give_up(&self) {
        self.shared.close(Closed::GivenUp);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, reply: Reply) {
        let mut state = self.lock();
        if reply.answer == Answer::Ready {
            if state.there {
                drop(state);
                self.close(Closed::Restarted);
            } else {
                state.there = true;
                self.changed.notify_all();
            }
            return;
        }
        let last = matches!(
            reply.answer,
            Answer::Done | Answer::Failed(_) | Answer::Exited(_) | Answer::Sent { .. }
        );
        let gone = match state.waiting.get(&reply.id) {
            Some(sender) => sender.send(reply.answer).is_err(),
            None => false,
        };
        if last || gone {
            state.waiting.remove(&reply.id);
        }
    }

    /// The first reason stays.
    fn close(&self, reason: Closed) {
        let mut state = self.lock();
        state.closed.get_or_insert(reason);
        state.waiting.clear();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Exit, Stream};

    fn pair(expect: Expect) -> (Agent, UnixStream) {
        let (control, guest) = UnixStream::pair().unwrap();
        let (data, _) = UnixStream::pair().unwrap();
        (Agent::attach(Links { control, data }, expect, Duration::from_secs(5)).unwrap(), guest)
    }

    fn say(guest: &mut UnixStream, id: u64, answer: Answer) {
        wire::reply(guest, &Reply { id, answer }).unwrap();
    }

    #[test]
    fn answers_of_two_commands_do_not_mix() {
        let (agent, mut guest) = pair(Expect::Running);
        let (first, first_answers) = agent.send(Ask::Ping);
        let (second, second_answers) = agent.send(Ask::Ping);
        say(&mut guest, second, Answer::Exited(Exit::Signal(9)));
        say(&mut guest, first, Answer::Output { stream: Stream::Stdout, bytes: vec![b'\n'] });
        say(&mut guest, first, Answer::Exited(Exit::Code(0)));
        assert_eq!(second_answers.iter().collect::<Vec<_>>(), [Answer::Exited(Exit::Signal(9))]);
        assert_eq!(first_answers.iter().count(), 2);
        assert_eq!(agent.closed(), None);
    }

    #[test]
    fn an_agent_that_boots_says_so_and_one_that_restarts_ends_the_channel() {
        let (agent, mut guest) = pair(Expect::Start);
        assert!(!agent.wait_there(Duration::ZERO));
        guest_noise(&mut guest);
        say(&mut guest, 0, Answer::Ready);
        assert!(agent.wait_there(Duration::from_secs(5)));
        let (_, answers) = agent.send(Ask::Ping);
        say(&mut guest, 0, Answer::Ready);
        assert!(answers.recv().is_err());
        assert_eq!(agent.closed(), Some(Closed::Restarted));
    }

    fn guest_noise(guest: &mut UnixStream) {
        io::Write::write_all(guest, b"half a line of an earlier life\n").unwrap();
    }

    #[test]
    fn a_machine_that_goes_away_leaves_nobody_waiting() {
        let (agent, guest) = pair(Expect::Running);
        let (_, answers) = agent.send(Ask::Ping);
        drop(guest);
        assert!(answers.recv().is_err());
        assert_eq!(agent.closed(), Some(Closed::HungUp));
        assert!(agent.send(Ask::Ping).1.recv().is_err());
    }
}
