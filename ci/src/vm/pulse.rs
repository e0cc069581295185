//! While something runs in the guest, its agent is asked every second whether it is there.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::Ask;

use super::Machine;

const EVERY: Duration = Duration::from_secs(1);

/// The watch over one machine.
#[derive(Debug)]
pub(super) struct Pulse {
    stop: Mutex<Option<Sender<()>>>,
}

impl Pulse {
    pub(super) fn watch(machine: &Arc<Machine>) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let machine = Arc::clone(machine);
        thread::spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout)
                && machine.agent.closed().is_none()
            {
                if machine.busy.load(Ordering::SeqCst) > 0 {
                    feel(&machine);
                }
            }
        });
        Self { stop: Mutex::new(Some(stop)) }
    }

    pub(super) fn stop(&self) {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// One ping. A guest that takes none of our bytes is as silent as one that answers none.
fn feel(machine: &Machine) {
    let start = Instant::now();
    let deadline = machine.pulse_deadline;
    let (id, answers) = machine.agent.send(Ask::Ping);
    let silent = match answers.recv_timeout(deadline) {
        Ok(_) => false,
        Err(RecvTimeoutError::Timeout) => true,
        // Closed: somebody who waits finds out why. Unless the write took its full time.
        Err(RecvTimeoutError::Disconnected) => {
            machine.agent.closed().is_none() && start.elapsed() >= deadline
        }
    };
    machine.agent.forget(id);
    if silent {
        machine.fail_as_hung();
    }
}
