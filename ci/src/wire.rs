//! What host and agent say to each other: one JSON object a line over the control port, with the bytes that a command wrote
//! behind theirs, and frames of raw bytes over the data port.
//!
//! Every request carries an id that its answers repeat, so that several commands run at once. A command that a signal
//! ended is [`Exit::Signal`] and never an exit code: somebody who reads "no code" as "0" would take a process that the
//! OOM killer got for a success.
//!
//! Data frames: `id: u64, length: u32, bytes`, little endian; a length of 0 ends the transfer.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port that carries requests and answers.
pub const CONTROL_PORT: &str = "bulkhead.control";
/// Name of the virtio-serial port that carries file contents.
pub const DATA_PORT: &str = "bulkhead.data";
/// Longest run of bytes in one data frame, and in one piece of output.
pub const CHUNK: usize = 32 * 1024;

/// Longest line over the control port: what a command is told, or the words of a failure.
const LINE: usize = 1 << 20;

/// Host → guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Chosen by the host, never used twice on one guest.
    pub id: u64,
    /// What is wanted.
    pub ask: Ask,
}

/// What the host can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Answered with [`Answer::Done`] at once, also while commands run.
    Ping,
    /// Start a command; [`Answer::Started`], then output, then [`Answer::Exited`].
    Exec {
        /// Program (searched in PATH) and arguments.
        argv: Vec<String>,
        /// The whole environment, but for PATH, HOME and LANG which have defaults.
        env: Vec<(String, String)>,
        /// Working directory; `/` when absent.
        cwd: Option<String>,
        /// Whether [`Ask::Tell`] reaches it; otherwise its standard input is empty.
        told: bool,
    },
    /// Write to the standard input of a running command.
    Tell {
        /// The id of its [`Ask::Exec`].
        exec: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Send a signal to the process group of a running command.
    Kill {
        /// The id of its [`Ask::Exec`].
        exec: u64,
        /// Signal number.
        signal: i32,
    },
    /// Set CLOCK_REALTIME (a clone wakes up at the time its template was frozen).
    SetClock {
        /// Seconds since 1970.
        seconds: i64,
        /// And nanoseconds.
        nanoseconds: i64,
    },
    /// Unpack the tar that starts at the first byte of a file or block device.
    Unpack {
        /// The archive.
        from: String,
        /// Directory it is unpacked in.
        into: String,
    },
    /// Send a file, or a directory as a tar, over the data port; [`Answer::Sending`], then [`Answer::Sent`].
    Fetch {
        /// Absolute path.
        path: String,
    },
    /// Switch the machine off without ceremony, like pulling the plug.
    PowerOff,
}

/// Guest → host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The id of the request; 0 for what the agent says on its own.
    pub id: u64,
    /// What it says.
    pub answer: Answer,
}

/// What the agent can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Id 0: the agent has (re)started and knows of no command.
    Ready,
    /// The request is done.
    Done,
    /// The request failed, for the reason given.
    Failed(String),
    /// The command runs.
    Started {
        /// Its process id, which is also its process group and session.
        pid: i32,
    },
    /// The command wrote something.
    Output {
        /// Where to.
        stream: Stream,
        /// What. In the line stands its length; the bytes follow the line.
        #[serde(with = "length")]
        bytes: Vec<u8>,
    },
    /// The command has ended and all it wrote itself has been sent.
    Exited(Exit),
    /// The data port carries the content from now on.
    Sending(Content),
    /// The data port has carried it all.
    Sent {
        /// Length in bytes.
        bytes: u64,
        /// [`Digest`](crate::digest::Digest) of the bytes.
        digest: u64,
    },
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It returned this exit code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// Exit code 0, and nothing else.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => write!(f, "{signal}"),
                Err(_) => write!(f, "signal {signal}"),
            },
        }
    }
}

/// Which of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a fetched path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The bytes of a regular file.
    File,
    /// A tar of a directory's content.
    Tar,
}

/// Bytes ↔ their length.
mod length {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(bytes.len() as u64)
    }

    /// As many zeroes: the bytes themselves are still to be read.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let length = usize::deserialize(from)?;
        if length > super::CHUNK {
            return Err(D::Error::custom("longer than any piece of output"));
        }
        Ok(vec![0; length])
    }
}

/// Writes one request and its line end in one call.
///
/// # Errors
/// The port is gone.
pub fn ask(to: &mut impl Write, request: &Request) -> io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Writes one reply, with the bytes that belong to it, in one call, so that replies of several threads never mix.
///
/// # Errors
/// The port is gone.
pub fn reply(to: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    if let Answer::Output { bytes, .. } = &reply.answer {
        line.extend_from_slice(bytes);
    }
    to.write_all(&line)
}

/// Reads the next reply; lines that are none (noise from before the other end was there) are skipped. None at the end of
/// the stream.
///
/// # Errors
/// The port is gone, or the line is longer than any reply: who sends such a thing is not the agent any more.
pub fn next_reply(from: &mut impl BufRead) -> io::Result<Option<Reply>> {
    let mut line = Vec::new();
    while read_line(from, &mut line)? {
        let Ok(mut reply) = serde_json::from_slice::<Reply>(&line) else { continue };
        if let Answer::Output { bytes, .. } = &mut reply.answer {
            from.read_exact(bytes)?;
        }
        return Ok(Some(reply));
    }
    Ok(None)
}

/// Reads one line into `line`; false at the end of the stream.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = from.take(LINE as u64).read_until(b'\n', line)?;
    if read == LINE && line.last() != Some(&b'\n') {
        return Err(io::Error::other(format!("a line is longer than {LINE} bytes")));
    }
    Ok(read > 0)
}

/// Writes one data frame.
///
/// # Errors
/// The port is gone.
pub fn send_frame(to: &mut impl Write, id: u64, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(12 + bytes.len());
    frame.extend_from_slice(&id.to_le_bytes());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(bytes);
    to.write_all(&frame)
}

/// Reads one data frame.
///
/// # Errors
/// The port is gone, or the frame is longer than any that [`send_frame`] is given.
pub fn read_frame(from: &mut impl Read) -> io::Result<(u64, Vec<u8>)> {
    let mut head = [0; 12];
    from.read_exact(&mut head)?;
    let (id, length) = head.split_at(8);
    let id = u64::from_le_bytes(id.try_into().map_err(io::Error::other)?);
    let length = u32::from_le_bytes(length.try_into().map_err(io::Error::other)?) as usize;
    if length > CHUNK {
        return Err(io::Error::other(format!("a data frame of {length} bytes is longer than {CHUNK}")));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok((id, bytes))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(Answer::Ready, r#"{"id":7,"answer":"ready"}"#)]
    #[case(Answer::Exited(Exit::Code(0)), r#"{"id":7,"answer":{"exited":{"code":0}}}"#)]
    #[case(Answer::Exited(Exit::Signal(9)), r#"{"id":7,"answer":{"exited":{"signal":9}}}"#)]
    #[case(Answer::Sending(Content::Tar), r#"{"id":7,"answer":{"sending":"tar"}}"#)]
    fn an_answer_is_one_readable_line(#[case] answer: Answer, #[case] line: &str) {
        let said = Reply { id: 7, answer };
        let mut sent = Vec::new();
        reply(&mut sent, &said).unwrap();
        assert_eq!(String::from_utf8(sent).unwrap(), format!("{line}\n"));
        assert_eq!(next_reply(&mut line.as_bytes()).unwrap(), Some(said));
    }

    /// Neither an exit without code or signal nor a piece of output that no agent sends is taken for a reply.
    #[rstest]
    #[case(r#"{"id":7,"answer":{"exited":{}}}"#)]
    #[case(r#"{"id":7,"answer":"exited"}"#)]
    #[case(r#"{"id":7,"answer":{"output":{"stream":"stdout","bytes":99999}}}"#)]
    #[case("half a line of an earlier life")]
    fn what_is_no_reply_is_skipped(#[case] noise: &str) {
        let ready = r#"{"id":0,"answer":"ready"}"#;
        let found = next_reply(&mut format!("{noise}\n{ready}\n").as_bytes()).unwrap();
        assert_eq!(found, Some(Reply { id: 0, answer: Answer::Ready }));
        assert_eq!(next_reply(&mut noise.as_bytes()).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_output_comes_back_and_what_follows_it_too(bytes: Vec<u8>) {
            let output = Reply { id: 1, answer: Answer::Output { stream: Stream::Stderr, bytes } };
            let done = Reply { id: 2, answer: Answer::Done };
            let mut wire = Vec::new();
            reply(&mut wire, &output).unwrap();
            reply(&mut wire, &done).unwrap();
            let from = &mut wire.as_slice();
            prop_assert_eq!(next_reply(from).unwrap(), Some(output));
            prop_assert_eq!(next_reply(from).unwrap(), Some(done));
            prop_assert_eq!(next_reply(from).unwrap(), None);
        }
    }

    #[test]
    fn only_exit_code_zero_is_success() {
        assert!(Exit::Code(0).success());
        assert!(!Exit::Code(1).success());
        assert!(!Exit::Signal(0).success());
        assert_eq!(Exit::Signal(9).to_string(), "SIGKILL");
    }

    #[test]
    fn lines_are_read_one_by_one_and_an_endless_one_is_refused() {
        let (mut from, mut line) = (&b"one\ntwo"[..], Vec::new());
        assert!(read_line(&mut from, &mut line).unwrap());
        assert_eq!(line, b"one\n");
        assert!(read_line(&mut from, &mut line).unwrap());
        assert_eq!(line, b"two");
        assert!(!read_line(&mut from, &mut line).unwrap());
        assert!(read_line(&mut BufReader::new(io::repeat(b'x')), &mut line).is_err());
    }

    #[test]
    fn frames_come_back_and_an_absurd_length_is_refused() {
        let mut wire = Vec::new();
        send_frame(&mut wire, 3, b"bytes").unwrap();
        send_frame(&mut wire, 3, b"").unwrap();
        let mut from = wire.as_slice();
        assert_eq!(read_frame(&mut from).unwrap(), (3, b"bytes".to_vec()));
        assert_eq!(read_frame(&mut from).unwrap(), (3, Vec::new()));

        let mut absurd = vec![0; 8];
        absurd.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(read_frame(&mut absurd.as_slice()).is_err());
    }
}
