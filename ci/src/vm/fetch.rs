//! A path in the guest → the same here, over the data port, compared with what the guest read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use crate::digest::Digest;
use crate::wire::{self, Answer, Ask, Content};

use super::{Machine, VmError};

/// How often a silent data port makes us look at the control port.
const GLANCE: Duration = Duration::from_millis(200);

pub(super) fn fetch(machine: &Machine, guest_path: &Path, into: &Path) -> Result<(), VmError> {
    // The port carries one transfer at a time; who holds the lock is the one who reads.
    let mut data = machine.agent.data.lock().unwrap_or_else(PoisonError::into_inner);
    let (id, answers) = machine.agent.send(Ask::Fetch { path: guest_path.display().to_string() });
    let host = |error: io::Error| VmError::Host { path: into.to_owned(), why: error.to_string() };
    let received = match next(machine, &answers)? {
        Answer::Sending(Content::File) => {
            let mut file = File::create(into).map_err(host)?;
            receive(machine, &mut data, id, &answers, &mut file, into)?
        }
        Answer::Sending(Content::Tar) => {
            fs::create_dir_all(into).map_err(host)?;
            let mut tar = Command::new("tar");
            // Owners are the guest's; here everything belongs to whoever fetches.
            tar.args(["--extract", "--file=-", "--no-same-owner", "--directory"]).arg(into);
            let mut tar = tar
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(host)?;
            let mut input = tar.stdin.take().ok_or_else(|| host(io::ErrorKind::BrokenPipe.into()))?;
            let received = receive(machine, &mut data, id, &answers, &mut input, into);
            drop(input);
            let output = tar.wait_with_output().map_err(host)?;
            let received = received?;
            if !output.status.success() {
                let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
                return Err(VmError::Host { path: into.to_owned(), why: format!("tar: {words}") });
            }
            received
        }
        other => return Err(VmError::Agent { why: format!("unexpected answer {other:?}") }),
    };
    let Answer::Sent { bytes, digest } = next(machine, &answers)? else {
        return Err(VmError::Agent { why: format!("{}: its length was not sent", guest_path.display()) });
    };
    compare(guest_path, received, (bytes, digest))
}

fn next(machine: &Machine, answers: &Receiver<Answer>) -> Result<Answer, VmError> {
    match answers.recv() {
        Ok(Answer::Failed(why)) => Err(VmError::Agent { why }),
        Ok(answer) => Ok(answer),
        Err(_) => Err(machine.failure()),
    }
}

/// Copies frames up to the empty one. What an earlier, failed transfer left in the port is skipped.
fn receive(
    machine: &Machine,
    data: &mut UnixStream,
    id: u64,
    answers: &Receiver<Answer>,
    to: &mut impl Write,
    into: &Path,
) -> Result<(u64, u64), VmError> {
    data.set_read_timeout(Some(GLANCE)).map_err(|error| VmError::Agent { why: error.to_string() })?;
    let (mut bytes, mut digest) = (0, Digest::new());
    loop {
        let frame = wire::read_frame(&mut Patient { data, machine, answers });
        let (from, content) = match frame {
            Ok(frame) => frame,
            Err(error) => return Err(error.downcast().unwrap_or_else(|error| gone(machine, &error))),
        };
        if from != id {
            continue;
        }
        if content.is_empty() {
            return Ok((bytes, digest.value()));
        }
        digest.update(&content);
        bytes += content.len() as u64;
        to.write_all(&content)
            .map_err(|error| VmError::Host { path: into.to_owned(), why: error.to_string() })?;
    }
}

fn gone(machine: &Machine, error: &io::Error) -> VmError {
    if machine.agent.closed().is_some() || error.kind() == io::ErrorKind::UnexpectedEof {
        machine.failure()
    } else {
        VmError::Agent { why: format!("data port: {error}") }
    }
}

/// Reads on through timeouts, unless the control port says that nothing more will come.
struct Patient<'a> {
    data: &'a mut UnixStream,
    machine: &'a Machine,
    answers: &'a Receiver<Answer>,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.data.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.answers.try_recv() {
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return Err(io::Error::other(self.machine.failure())),
                    Ok(Answer::Failed(why)) => return Err(io::Error::other(VmError::Agent { why })),
                    Ok(other) => {
                        let why = format!("the transfer stopped in the middle ({other:?})");
                        return Err(io::Error::other(VmError::Agent { why }));
                    }
                },
                other => return other,
            }
        }
    }
}

fn compare(path: &Path, received: (u64, u64), sent: (u64, u64)) -> Result<(), VmError> {
    let why = if received.0 != sent.0 {
        format!("{} bytes were sent and {} arrived", sent.0, received.0)
    } else if received.1 != sent.1 {
        format!("the digest of what was sent is {:016x}, of what arrived {:016x}", sent.1, received.1)
    } else {
        return Ok(());
    };
    Err(VmError::Damaged { path: path.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_or_changed_transfer_is_damaged() {
        assert!(compare(Path::new("/a"), (3, 1), (3, 1)).is_ok());
        let short = compare(Path::new("/a"), (2, 1), (3, 1)).unwrap_err();
        assert_eq!(short.to_string(), "/a arrived damaged: 3 bytes were sent and 2 arrived");
        assert!(compare(Path::new("/a"), (3, 2), (3, 1)).is_err());
    }
}
