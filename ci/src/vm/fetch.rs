//! A path in the guest → the same here, over the data port, compared with what the guest read.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::path::{Component, Path};
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use tar::EntryType;

use crate::digest::Digest;
use crate::wire::{self, Answer, Ask, Content};

use super::{Machine, VmError};

/// How often a silent data port makes us look at the control port.
const GLANCE: Duration = Duration::from_millis(200);

/// What is fetched at most, on the way and unpacked: the guest does not decide what this machine's disk holds.
const AT_MOST: u64 = 1 << 30;

pub(super) fn fetch(machine: &Machine, guest_path: &Path, into: &Path) -> Result<(), VmError> {
    // The port carries one transfer at a time; who holds the lock is the one who reads.
    let mut data = machine.agent.data.lock().unwrap_or_else(PoisonError::into_inner);
    let (id, answers) = machine.agent.send(Ask::Fetch { path: guest_path.display().to_string() });
    let host = |error: io::Error| VmError::Host { path: into.to_owned(), why: error.to_string() };
    let content = match next(machine, &answers)? {
        Answer::Sending(content) => content,
        other => return Err(VmError::Agent { why: format!("unexpected answer {other:?}") }),
    };
    // Looked at only when it has arrived whole.
    let mut arrived = tempfile::tempfile().map_err(host)?;
    let received = receive(machine, &mut data, id, &answers, &mut arrived, into)?;
    let Answer::Sent { bytes, digest } = next(machine, &answers)? else {
        return Err(VmError::Agent { why: format!("{}: its length was not sent", guest_path.display()) });
    };
    compare(guest_path, received, (bytes, digest))?;
    arrived.rewind().map_err(host)?;
    match content {
        Content::File => File::create(into).and_then(|mut file| io::copy(&mut arrived, &mut file)).map(drop),
        Content::Tar => unpack(arrived, into, AT_MOST),
    }
    .map_err(host)
}

/// Directories and regular files of a tar, below `into` and nowhere else, up to so many bytes. Links, devices and FIFOs are
/// left out; owners and modes are those of any file that is made here.
fn unpack(tar: impl Read, into: &Path, mut left: u64) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let inside = name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(io::Error::other(format!("{} points outside what was fetched", name.display())));
        }
        let place = into.join(&name);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(place)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                // What is here already, under whatever name, is not written to.
                let mut file = File::create_new(place)?;
                let copied = io::copy(&mut entry.by_ref().take(left + 1), &mut file)?;
                left = left.checked_sub(copied).ok_or_else(too_much)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn too_much() -> io::Error {
    io::Error::other(format!("it is larger than {} MiB", AT_MOST >> 20))
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
        if bytes > AT_MOST {
            return Err(VmError::Host { path: into.to_owned(), why: too_much().to_string() });
        }
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
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn entry(tar: &mut tar::Builder<Vec<u8>>, kind: EntryType, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        // As a guest may write it, whatever the library thinks of such a name.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        if kind == EntryType::Symlink || kind == EntryType::Link {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }

    fn unpacked(entries: &[(EntryType, &str, &[u8])], into: &Path) -> io::Result<()> {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, name, content) in entries {
            entry(&mut tar, *kind, name, content);
        }
        unpack(tar.into_inner().unwrap().as_slice(), into, 100)
    }

    #[test]
    fn only_directories_and_plain_files_come_out_of_a_guest() {
        let here = tempfile::tempdir().unwrap();
        let into = here.path().join("into");
        let entries: [(EntryType, &str, &[u8]); 7] = [
            (EntryType::Directory, "./sub", b""),
            (EntryType::Regular, "./sub/file", b"content"),
            (EntryType::Symlink, "link", b""),
            (EntryType::Link, "hard", b""),
            (EntryType::Char, "null", b""),
            (EntryType::Block, "disk", b""),
            (EntryType::Fifo, "fifo", b""),
        ];
        unpacked(&entries, &into).unwrap();
        assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
        assert_eq!(fs::read(into.join("sub/file")).unwrap(), b"content");
        let mode = fs::metadata(into.join("sub/file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7111, 0, "neither set-id nor executable");
    }

    #[test]
    fn nothing_leads_out_of_what_is_fetched_and_nothing_is_written_over() {
        let here = tempfile::tempdir().unwrap();
        let into = here.path().join("into");
        for name in ["../outside", "/tmp/outside", "sub/../../outside"] {
            assert!(unpacked(&[(EntryType::Regular, name, b"x")], &into).is_err(), "{name}");
        }
        let other = here.path().join("other");
        fs::write(&other, "old").unwrap();
        symlink(&other, into.join("link")).unwrap();
        assert!(unpacked(&[(EntryType::Regular, "link", b"x")], &into).is_err());
        let twice: [(EntryType, &str, &[u8]); 2] =
            [(EntryType::Regular, "file", b"x"), (EntryType::Regular, "file", b"y")];
        assert!(unpacked(&twice, &into).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "old");
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 2);
    }

    #[test]
    fn more_than_is_allowed_is_refused() {
        let here = tempfile::tempdir().unwrap();
        let entries: [(EntryType, &str, &[u8]); 2] =
            [(EntryType::Regular, "a", &[b'x'; 60]), (EntryType::Regular, "b", &[b'x'; 60])];
        let error = unpacked(&entries, &here.path().join("into")).unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
    }

    #[test]
    fn a_short_or_changed_transfer_is_damaged() {
        assert!(compare(Path::new("/a"), (3, 1), (3, 1)).is_ok());
        let short = compare(Path::new("/a"), (2, 1), (3, 1)).unwrap_err();
        assert_eq!(short.to_string(), "/a arrived damaged: 3 bytes were sent and 2 arrived");
        assert!(compare(Path::new("/a"), (3, 2), (3, 1)).is_err());
    }
}
