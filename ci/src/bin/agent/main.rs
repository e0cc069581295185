//! The guest's end of the channel: requests from the control port → commands, and answers back.
//!
//! It runs as a service with `oom_score_adj` −1000 and its memory locked, so that it answers when nothing else does;
//! what it starts inherits neither. It interprets nothing: no shell, no policy, no retries.

mod command;
mod content;
mod port;

use std::io::{self, BufRead, BufReader};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ci::wire::{self, Answer, Ask, CONTROL_PORT, DATA_PORT, Reply, Request};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use crate::command::{Commands, Order};
use crate::content::DataPort;
use crate::port::Port;

/// The control port's writing half, shared by everything that answers.
#[derive(Clone)]
struct Answers(Arc<Mutex<Port>>);

impl Answers {
    /// A failed write means that the port is gone, and with it everybody who could be told.
    fn send(&self, id: u64, answer: Answer) {
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = wire::reply(&mut *port, &Reply { id, answer }) {
            eprintln!("agent: cannot answer: {error}");
        }
    }

    fn send_result(&self, id: u64, result: Result<(), String>) {
        self.send(id, result.map_or_else(Answer::Failed, |()| Answer::Done));
    }
}

fn main() -> io::Result<()> {
    // Pages are locked as they are touched: thread stacks are large and mostly untouched.
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)?;
    let commands = Arc::new(Commands::new()?);
    let control = Port::open(CONTROL_PORT)?;
    let data = Arc::new(DataPort::new(Port::open(DATA_PORT)?));
    let answers = Answers(Arc::new(Mutex::new(control.try_clone()?)));
    answers.send(0, Answer::Ready);
    for line in BufReader::new(control).split(b'\n') {
        // A line that is no request has no id to answer to.
        if let Ok(request) = serde_json::from_slice::<Request>(&line?) {
            serve(request, &answers, &commands, &data);
        }
    }
    Ok(())
}

/// Answers at once what is quick, and on a thread of its own what is not.
fn serve(request: Request, answers: &Answers, commands: &Arc<Commands>, data: &Arc<DataPort>) {
    let id = request.id;
    let (answers, commands, data) = (answers.clone(), Arc::clone(commands), Arc::clone(data));
    match request.ask {
        Ask::Ping => answers.send(id, Answer::Done),
        Ask::Kill { exec, signal } => answers.send_result(id, commands.kill(exec, signal)),
        Ask::SetClock { seconds, nanoseconds } => {
            let set = clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, nanoseconds));
            answers.send_result(id, set.map_err(|errno| errno.to_string()));
        }
        Ask::PowerOff => {
            // Returns only when it failed.
            let Err(errno) = reboot(RebootMode::RB_POWER_OFF);
            answers.send(id, Answer::Failed(errno.to_string()));
        }
        Ask::Tell { exec, bytes } => answers.send_result(id, commands.tell(exec, &bytes)),
        Ask::Exec { argv, env, cwd, told } => {
            let order = Order { argv, env, cwd, told };
            spawn(id, &answers.clone(), move || commands.run(id, &order, &answers));
        }
        Ask::Unpack { from, into } => {
            spawn(id, &answers.clone(), move || answers.send_result(id, content::unpack(&from, &into)));
        }
        Ask::Fetch { path } => {
            spawn(id, &answers.clone(), move || data.send(id, &path, &answers));
        }
    }
}

fn spawn(id: u64, answers: &Answers, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().stack_size(256 * 1024).spawn(work) {
        answers.send(id, Answer::Failed(format!("no thread: {error}")));
    }
}
