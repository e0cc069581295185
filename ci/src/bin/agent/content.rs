//! Files into and out of the guest: a tar on a disk → files; a path → frames on the data port.

use std::fs::{self, File};
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use ci::digest::Digest;
use ci::wire::{self, Answer, CHUNK, Content};

use crate::Answers;
use crate::port::Port;

/// Unpacks a tar; tar reads a block device up to the archive's own end mark.
pub(crate) fn unpack(from: &str, into: &str) -> Result<(), String> {
    let output = Command::new("tar")
        .args(["--extract", "--file", from, "--directory", into])
        .output()
        .map_err(|error| format!("tar: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "tar of {from}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        ))
    }
}

/// The data port; one transfer at a time.
pub(crate) struct DataPort(Mutex<Port>);

impl DataPort {
    pub(crate) fn new(port: Port) -> Self {
        Self(Mutex::new(port))
    }

    /// Sends a file as it is, or a directory's content as a tar.
    pub(crate) fn send(&self, id: u64, path: &str, answers: &Answers) {
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match send(&mut port, id, path, |content| answers.send(id, Answer::Sending(content))) {
            Ok((bytes, digest)) => answers.send(id, Answer::Sent { bytes, digest }),
            Err(error) => answers.send(id, Answer::Failed(format!("{path}: {error}"))),
        }
    }
}

fn send(port: &mut Port, id: u64, path: &str, begin: impl FnOnce(Content)) -> io::Result<(u64, u64)> {
    if !fs::metadata(path)?.is_dir() {
        let file = File::open(path)?;
        begin(Content::File);
        return copy(port, id, file);
    }
    let mut tar = Command::new("tar")
        .args(["--create", "--file=-", "--sparse", "--warning=none", "--directory", path, "."])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let archive = tar.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    begin(Content::Tar);
    let sent = copy(port, id, archive);
    let output = tar.wait_with_output()?;
    // 1: a file changed while it was read. Logs do; what has been read of them is still in the archive.
    match output.status.code() {
        Some(0 | 1) => sent,
        _ => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())),
    }
}

fn copy(port: &mut Port, id: u64, mut from: impl Read) -> io::Result<(u64, u64)> {
    let (mut bytes, mut digest) = (0, Digest::new());
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = from.read(&mut buffer)?;
        wire::send_frame(port, id, &buffer[..n])?;
        if n == 0 {
            return Ok((bytes, digest.value()));
        }
        digest.update(&buffer[..n]);
        bytes += n as u64;
    }
}
