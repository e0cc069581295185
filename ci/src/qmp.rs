//! QEMU's machine protocol over a socket: commands with their answers, and the events that come in between.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// QEMU answers within milliseconds, unless the machine is starved.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command that did not do.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum QmpError {
    /// QEMU refused it.
    #[error("QEMU refused {command}: {why}")]
    Refused {
        /// The command.
        command: String,
        /// What QEMU says.
        why: String,
    },
    /// QEMU is gone.
    #[error("QEMU ended before it answered {0}")]
    Gone(String),
    /// No answer.
    #[error("QEMU did not answer {0} within {PATIENCE:?}")]
    Silent(String),
}

/// A monitor.
#[derive(Debug)]
pub(crate) struct Qmp {
    writer: Mutex<UnixStream>,
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
    waiting: HashMap<u64, Sender<Result<Value, String>>>,
    events: Vec<Value>,
    closed: bool,
}

impl Qmp {
    /// Reads in the background, and leaves the negotiation phase. Commands can follow at once: QEMU takes them in order.
    pub(crate) fn attach(socket: UnixStream) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut writer = socket.try_clone()?;
        // Its answer has no id, and nobody waits for it.
        writeln!(writer, "{}", json!({"execute": "qmp_capabilities"}))?;
        let reader = Arc::clone(&shared);
        thread::spawn(move || {
            for line in BufReader::new(socket).split(b'\n').map_while(Result::ok) {
                if let Ok(message) = serde_json::from_slice(&line) {
                    reader.receive(message);
                }
            }
            let mut state = reader.lock();
            state.closed = true;
            state.waiting.clear();
            reader.changed.notify_all();
        });
        Ok(Self { writer: Mutex::new(writer), shared })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// QEMU refuses it, does not answer or is gone.
    pub(crate) fn execute(&self, command: &str, arguments: &Value) -> Result<Value, QmpError> {
        let gone = || QmpError::Gone(command.to_owned());
        let (sender, answer) = mpsc::channel();
        let id = {
            let mut state = self.shared.lock();
            if state.closed {
                return Err(gone());
            }
            state.next += 1;
            let id = state.next;
            state.waiting.insert(id, sender);
            id
        };
        let line = format!("{}\n", json!({"execute": command, "arguments": arguments, "id": id}));
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(line.as_bytes()).map_err(|_| gone())?;
        drop(writer);
        match answer.recv_timeout(PATIENCE) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(why)) => Err(QmpError::Refused { command: command.to_owned(), why }),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(gone()),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(QmpError::Silent(command.to_owned())),
        }
    }

    /// `query-status`: "running", "inmigrate", "internal-error", …
    pub(crate) fn status(&self) -> Result<String, QmpError> {
        let answer = self.execute("query-status", &json!({}))?;
        Ok(answer["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Why the machine stopped: "guest-shutdown", "guest-reset", "host-qmp-quit", …; none while it runs.
    pub(crate) fn shutdown_reason(&self) -> Option<String> {
        let state = self.shared.lock();
        let event = state.events.iter().rev().find(|event| event["event"] == "SHUTDOWN")?;
        Some(event["data"]["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until QEMU has closed its end, which it does when it ends; false when it has not.
    pub(crate) fn wait_closed(&self, patience: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, patience, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, mut message: Value) {
        let mut state = self.lock();
        if message.get("event").is_some() {
            state.events.push(message);
            self.changed.notify_all();
        } else if let Some(sender) = message["id"].as_u64().and_then(|id| state.waiting.remove(&id)) {
            let answer = match message.get("error") {
                Some(error) => Err(error["desc"].as_str().unwrap_or("no reason given").to_owned()),
                None => Ok(message["return"].take()),
            };
            // Whoever asked may have lost patience.
            let _ = sender.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU that answers by script: for each line it reads, the lines it writes.
    fn qemu(script: Vec<Vec<Value>>) -> Qmp {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            writeln!(writer, r#"{{"QMP": {{"version": {{}}}}}}"#).unwrap();
            let mut lines = BufReader::new(theirs).lines();
            lines.next().unwrap().unwrap();
            for answers in script {
                let asked: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                for mut answer in answers {
                    if answer.get("event").is_none() {
                        answer["id"] = asked["id"].clone();
                    }
                    writeln!(writer, "{answer}").unwrap();
                }
            }
        });
        Qmp::attach(ours).unwrap()
    }

    #[test]
    fn an_answer_finds_its_command_between_events() {
        let qmp = qemu(vec![vec![json!({"event": "RESUME"}), json!({"return": {"status": "running"}})]]);
        assert_eq!(qmp.status().unwrap(), "running");
        assert_eq!(qmp.shutdown_reason(), None);
    }

    #[test]
    fn a_refusal_is_quoted() {
        let qmp = qemu(vec![vec![json!({"error": {"class": "GenericError", "desc": "no such device"}})]]);
        let error = qmp.execute("inject-nmi", &json!({})).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused inject-nmi: no such device");
    }

    #[test]
    fn a_qemu_that_ends_leaves_nobody_waiting_and_its_reason_behind() {
        let qmp =
            qemu(vec![vec![json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}})]]);
        assert_eq!(qmp.execute("cont", &json!({})), Err(QmpError::Gone("cont".into())));
        assert!(qmp.wait_closed(Duration::from_secs(5)));
        assert_eq!(qmp.shutdown_reason().as_deref(), Some("guest-reset"));
        assert_eq!(qmp.execute("cont", &json!({})), Err(QmpError::Gone("cont".into())));
    }
}
