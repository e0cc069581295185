//! What the half of a run inside a guest tells the half outside: frames of bytes on standard output.
//!
//! A frame is its kind (one byte), a length (four, little endian) and so many bytes. Events, rows and the kernel log are
//! pieces of the files of a record, in order; the head replaces an earlier one; the last frame says how long each file is,
//! and why there is no more of it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// Longest content of a frame: of a head with the scenario's text and its plan.
pub const LONGEST: usize = 4 << 20;
/// Bytes before the content.
const PREFIX: usize = 5;

/// What is in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The head of the record, whole.
    Head = b'H',
    /// Bytes of its events.
    Events = b'E',
    /// Bytes of its samples.
    Samples = b'S',
    /// Bytes of its kernel log.
    KernelLog = b'K',
    /// A moment of the run, for people.
    Progress = b'P',
    /// Set up, it asks for leave to begin; it has no content.
    Ready = b'?',
    /// The [`End`]: nothing follows.
    End = b'.',
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Head, Self::Events, Self::Samples, Self::KernelLog, Self::Progress, Self::Ready, Self::End];
}

/// How many bytes of each file of the record there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lengths {
    /// Of the events.
    pub events: u64,
    /// Of the samples.
    pub samples: u64,
    /// Of the kernel log.
    pub kernel_log: u64,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How much.
    pub lengths: Lengths,
    /// Why the run could not be made, or not be recorded to its end.
    pub failed: Option<String>,
}

/// Why bytes are no frames. Nothing after them can be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not a kind that there is.
    #[error("byte {0:#04x} does not start a frame")]
    Kind(u8),
    /// A length that no frame has.
    #[error("a frame of {0} bytes is too long")]
    Length(u32),
}

/// Writes one frame; content longer than [`LONGEST`] is refused.
///
/// # Errors
/// When nobody reads any more.
pub fn send(to: &mut impl Write, kind: Kind, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= LONGEST);
    let length = length.ok_or_else(|| io::Error::other("too long for a frame"))?;
    to.write_all(&[kind as u8])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(content)
}

/// Bytes as they arrive → frames. It holds no more than one frame.
#[derive(Debug, Default)]
pub struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    /// Takes what has arrived, and gives every frame that is whole now to `each`.
    ///
    /// # Errors
    /// When it is no frame. Whole frames before it were given.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Kind, &[u8])) -> Result<(), FrameError> {
        self.rest.extend_from_slice(bytes);
        let mut done = 0;
        let ended = loop {
            let rest = &self.rest[done..];
            let Some((prefix, content)) = rest.split_at_checked(PREFIX) else {
                break prefix_kind(rest).map(drop);
            };
            let kind = match prefix_kind(prefix) {
                Ok(kind) => kind,
                Err(error) => break Err(error),
            };
            let length = u32::from_le_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
            if length as usize > LONGEST {
                break Err(FrameError::Length(length));
            }
            let Some(content) = content.get(..length as usize) else { break Ok(()) };
            if let Some(kind) = kind {
                each(kind, content);
            }
            done += PREFIX + content.len();
        };
        self.rest.drain(..done);
        ended
    }

    /// Bytes of a frame that was never finished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.rest.len()
    }
}

/// The kind that a frame begins with; none when nothing has arrived of it.
fn prefix_kind(prefix: &[u8]) -> Result<Option<Kind>, FrameError> {
    let Some(first) = prefix.first() else { return Ok(None) };
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == *first);
    kind.map(Some).ok_or(FrameError::Kind(*first))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(frames: &[(Kind, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, content) in frames {
            send(&mut bytes, *kind, content).expect("sent");
        }
        bytes
    }

    fn frames() -> impl Strategy<Value = Vec<(Kind, Vec<u8>)>> {
        let kind = prop::sample::select(Kind::ALL.to_vec());
        prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(sent in frames(), piece in 1_usize..30) {
            let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
            for part in stream(&sent).chunks(piece) {
                decoder.feed(part, |kind, content| seen.push((kind, content.to_vec()))).expect("frames");
            }
            prop_assert_eq!(seen, sent);
            prop_assert_eq!(decoder.unfinished(), 0);
        }

        #[test]
        fn a_stream_cut_anywhere_keeps_every_frame_before_the_cut(sent in frames(), cut in 0_usize..200) {
            let bytes = stream(&sent);
            let mut seen = Vec::new();
            let kept = &bytes[..cut.min(bytes.len())];
            Decoder::default().feed(kept, |kind, content| seen.push((kind, content.to_vec()))).expect("frames");
            prop_assert!(sent.starts_with(&seen));
            let whole = stream(&seen).len();
            prop_assert!(kept.len() - whole < PREFIX + 40);
        }

        /// Whatever comes, nothing is made of it but frames that were there, and nothing large is kept.
        #[test]
        fn noise_is_refused_or_waited_for(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            let mut kept = 0;
            let _ = decoder.feed(&noise, |_, content| kept += content.len());
            prop_assert!(kept + decoder.unfinished() <= noise.len());
        }
    }

    #[test]
    fn what_is_no_frame_is_named() {
        let error = Decoder::default().feed(b"Hello", |_, _| {});
        assert_eq!(error, Err(FrameError::Length(0x6f6c_6c65)));
        let error = Decoder::default().feed(b"x", |_, _| {});
        assert_eq!(error, Err(FrameError::Kind(b'x')));
        let mut long = vec![b'E'];
        long.extend(u32::try_from(LONGEST + 1).expect("fits").to_le_bytes());
        assert!(matches!(Decoder::default().feed(&long, |_, _| {}), Err(FrameError::Length(_))));
        assert!(send(&mut Vec::new(), Kind::Events, &vec![0; LONGEST + 1]).is_err());
    }
}
