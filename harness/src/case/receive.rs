//! Frames from a guest → a run directory that only this side writes.
//!
//! The guest is not trusted: it was put under stress on purpose, and may be broken or lie. It brings lines of known files up
//! to known sizes; which case this is, and that it is a record of it, is never its to say. What arrived before it was lost
//! is kept.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::frame::{Decoder, End, Kind, Lengths};
use crate::record::event::{EndReason, Mark};
use crate::record::load::{EVENT_BOUNDS, SAMPLE_BOUNDS};
use crate::record::store::{KMSG, SAMPLES, Store, StoreError};
use crate::record::{Event, GuestFacts, Head, Stamped};
use crate::run::progress::Progress;

/// Bytes of kernel log that are kept: what the run inside keeps at most, and one record.
const KERNEL_LOG_BYTES: u64 = (4 << 20) + (64 << 10);
/// Kept of what a console says: a line of events is no longer than a few megabytes.
const CONSOLE_BYTES: usize = 64 << 10;

/// What is learnt of a run in a guest while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'a> {
    /// A moment of it, for people.
    Progress(&'a Progress),
    /// It asks for leave to begin.
    Ready,
    /// A part of it begins.
    Phase(Mark),
}

/// A record on its way out of a guest.
#[derive(Debug)]
pub struct Receiver {
    store: Store,
    head: Head,
    decoder: Decoder,
    /// The line of events whose end has not arrived.
    line: Vec<u8>,
    samples: File,
    kernel_log: File,
    got: Lengths,
    said: Option<End>,
    last_us: u64,
    /// Why no more of what the guest sends is looked at.
    refused: Option<String>,
    /// Why no more can be written here.
    failed: Option<StoreError>,
}

impl Receiver {
    /// Begins a record with what is known of it out here.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(dir: &Path, head: Head) -> Result<Self, StoreError> {
        let store = Store::create(dir)?;
        store.write_head(&head)?;
        let (samples, kernel_log) = (store.raw(SAMPLES)?, store.raw(KMSG)?);
        Ok(Self {
            store,
            head,
            decoder: Decoder::default(),
            line: Vec::new(),
            samples,
            kernel_log,
            got: Lengths::default(),
            said: None,
            last_us: crate::run::clock::now_us(),
            refused: None,
            failed: None,
        })
    }

    /// The guest that it comes from.
    #[must_use]
    pub fn guest(&self) -> Option<GuestFacts> {
        self.head.guest.clone()
    }

    /// Takes bytes as they come out of the guest, and tells `on` what they bring. Never fails: what went wrong is told by
    /// [`end`](Self::end).
    pub fn feed(&mut self, bytes: &[u8], on: &mut dyn FnMut(News<'_>)) {
        if self.refused.is_some() || self.failed.is_some() {
            return;
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        let fed = decoder.feed(bytes, |kind, content| {
            if self.refused.is_some() || self.failed.is_some() {
                return;
            }
            match self.take(kind, content, on) {
                Ok(()) => {}
                Err(Unfit::Guest(why)) => self.refused = Some(why),
                Err(Unfit::Store(error)) => self.failed = Some(error),
            }
        });
        self.decoder = decoder;
        if let Err(error) = fed {
            self.refused.get_or_insert(error.to_string());
        }
    }

    /// Ends the record: with what else was seen from outside, with why no run could be made inside, and, when the guest did
    /// not come to its end or not all of what it saw has arrived, with its loss.
    ///
    /// # Errors
    /// When the record could not be written to its end.
    pub fn end(mut self, seen: Seen) -> Result<(), StoreError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let guest = self.head.guest.take();
        self.head.guest = guest.map(|guest| GuestFacts { waited_percent: seen.waited_percent, ..guest });
        self.store.write_head(&self.head)?;
        for event in seen.trouble {
            self.append(event)?;
        }
        let reason = match (seen.lost.or_else(|| self.missing()), self.said.take().and_then(|end| end.failed))
        {
            (Some(what), _) => {
                let console = tail(&seen.console, CONSOLE_BYTES).to_owned();
                EndReason::MachineLost { what, console }
            }
            (None, Some(reason)) => EndReason::SetupFailed { reason },
            (None, None) => return Ok(()),
        };
        self.append(Event::Ended { reason })
    }

    /// What of the record did not arrive, or is none; nothing when it is whole.
    fn missing(&self) -> Option<String> {
        if let Some(why) = &self.refused {
            return Some(format!("it sent an invalid record: {why}"));
        }
        match self.said.as_ref().map(|end| end.lengths) {
            None => Some("its record did not arrive completely".into()),
            Some(said) if said != self.got || !self.line.is_empty() => Some(format!(
                "of {} bytes of events, {} of samples and {} of kernel log, {}, {} and {} arrived",
                said.events,
                said.samples,
                said.kernel_log,
                self.got.events,
                self.got.samples,
                self.got.kernel_log
            )),
            Some(_) => None,
        }
    }

    fn take(&mut self, kind: Kind, content: &[u8], on: &mut dyn FnMut(News<'_>)) -> Result<(), Unfit> {
        if self.said.is_some() {
            return Err(Unfit::Guest("data after its end".into()));
        }
        let bytes = content.len() as u64;
        match kind {
            Kind::Head => self.head(content),
            Kind::Events => {
                self.got.events = within("events", self.got.events, bytes, EVENT_BOUNDS.file)?;
                self.events(content, on)
            }
            Kind::Samples => {
                self.got.samples = within("samples", self.got.samples, bytes, SAMPLE_BOUNDS.file)?;
                let written = self.samples.write_all(content);
                written.map_err(|error| Unfit::Store(self.store.unwritten(SAMPLES, error)))
            }
            Kind::KernelLog => {
                self.got.kernel_log = within("kernel log", self.got.kernel_log, bytes, KERNEL_LOG_BYTES)?;
                let written = self.kernel_log.write_all(content);
                written.map_err(|error| Unfit::Store(self.store.unwritten(KMSG, error)))
            }
            Kind::Progress => {
                let progress = serde_json::from_slice(content);
                on(News::Progress(&progress.map_err(|error| Unfit::guest("progress", &error))?));
                Ok(())
            }
            Kind::Ready => {
                on(News::Ready);
                Ok(())
            }
            Kind::End => {
                let said = serde_json::from_slice(content).map_err(|error| Unfit::guest("end", &error))?;
                self.said = Some(said);
                Ok(())
            }
        }
    }

    /// Of the head, the guest knows the machine and the plan made for it. Which case it is was known before.
    fn head(&mut self, content: &[u8]) -> Result<(), Unfit> {
        let inside: Head = serde_json::from_slice(content).map_err(|error| Unfit::guest("head", &error))?;
        self.head.minor = inside.minor;
        self.head.plan = inside.plan;
        self.head.host = inside.host;
        self.store.write_head(&self.head).map_err(Unfit::Store)
    }

    /// Whole lines go to disk; the rest waits for its end.
    fn events(&mut self, content: &[u8], on: &mut dyn FnMut(News<'_>)) -> Result<(), Unfit> {
        self.line.extend_from_slice(content);
        let mut done = 0;
        while let Some(end) = self.line[done..].iter().position(|byte| *byte == b'\n') {
            let stamped: Stamped = serde_json::from_slice(&self.line[done..done + end])
                .map_err(|error| Unfit::guest("event", &error))?;
            if matches!(stamped.event, Event::SetAside { .. }) {
                return Err(Unfit::Guest("an event that only the outer side may write".into()));
            }
            self.last_us = stamped.at_us;
            self.store.append(&stamped).map_err(Unfit::Store)?;
            if let Event::Phase { phase } = stamped.event {
                on(News::Phase(phase));
            }
            done += end + 1;
        }
        self.line.drain(..done);
        if self.line.len() as u64 > EVENT_BOUNDS.line {
            return Err(Unfit::Guest(format!("an event of more than {} MiB", EVENT_BOUNDS.line >> 20)));
        }
        Ok(())
    }

    /// Adds what was seen from outside at the time of the guest's last word: its clock is another one.
    fn append(&self, event: Event) -> Result<(), StoreError> {
        self.store.append(&Stamped { at_us: self.last_us, event })
    }
}

/// What is known of a run in a guest from outside.
#[derive(Debug, Default)]
pub struct Seen {
    /// What did not go as it should before the run began.
    pub trouble: Vec<Event>,
    /// Why the machine or the program in it did not come to its end; none when it did.
    pub lost: Option<String>,
    /// The last lines of its console.
    pub console: String,
    /// For how long its QEMU waited for processors, percent of the run.
    pub waited_percent: Option<u64>,
}

/// Why something that arrived is not taken.
enum Unfit {
    Guest(String),
    Store(StoreError),
}

impl Unfit {
    fn guest(what: &str, error: &serde_json::Error) -> Self {
        Self::Guest(format!("invalid {what}: {error}"))
    }
}

/// The sum, when it is within the bounds.
fn within(what: &str, got: u64, more: u64, bound: u64) -> Result<u64, Unfit> {
    let sum = got + more;
    if sum > bound {
        return Err(Unfit::Guest(format!("more than {} MiB of {what}", bound >> 20)));
    }
    Ok(sum)
}

/// The last bytes of a text, from a character on.
fn tail(text: &str, bytes: usize) -> &str {
    let from = (text.len().saturating_sub(bytes)..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[from.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use reports::outcome::Verdict;
    use rstest::rstest;

    use super::*;
    use crate::case::Case;
    use crate::case::frame::{self, LONGEST};
    use crate::judge::judge;
    use crate::record::Record;
    use crate::record::store::EVENTS;
    use crate::scenario::Scenario;

    const SAVED: &str = "tests/fixtures/records/hard-cap-kill.trixie";

    fn saved(name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(SAVED).join(name)).expect("a saved record")
    }

    /// The frames of a saved record, as the guest sends them.
    fn stream() -> Vec<u8> {
        let (events, samples) = (saved(EVENTS), saved(SAMPLES));
        let lengths = Lengths { events: events.len() as u64, samples: samples.len() as u64, kernel_log: 4 };
        let mut bytes = Vec::new();
        let mut send = |kind, content: &[u8]| frame::send(&mut bytes, kind, content).expect("sent");
        let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAVED);
        let head = Record::load(&saved).expect("a saved record").head;
        send(Kind::Head, &serde_json::to_vec(&head).expect("json"));
        let lines: Vec<&[u8]> = events.split_inclusive(|byte| *byte == b'\n').collect();
        let rows = samples.len() / (lines.len() / 2);
        for (events, samples) in lines.chunks(2).zip(samples.chunks(rows)) {
            send(Kind::Events, &events.concat());
            send(Kind::Samples, samples);
        }
        send(Kind::Samples, samples.get(rows * lines.chunks(2).len()..).unwrap_or_default());
        send(Kind::KernelLog, b"log\n");
        send(Kind::Ready, &[]);
        send(Kind::End, &serde_json::to_vec(&End { lengths, failed: None }).expect("json"));
        bytes
    }

    fn head() -> Head {
        let text = include_str!("../../../scenarios/hard-cap-kill.toml");
        let scenario = Scenario::parse("hard-cap-kill.toml", text).expect("a scenario");
        let guest = GuestFacts { name: "trixie".into(), accelerator: "tcg".into(), waited_percent: None };
        Case { scenario: Arc::new(scenario), twin: None, run: 3 }.head(Some(guest))
    }

    /// What is left of bytes from a guest: the record, and the names in its directory.
    fn received(bytes: &[u8], seen: Seen) -> (Record, Vec<String>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let run = dir.path().join("run");
        let mut receiver = Receiver::begin(&run, head()).expect("begun");
        for part in bytes.chunks(777) {
            receiver.feed(part, &mut |_| {});
        }
        receiver.end(seen).expect("written");
        let names = |dir: &Path| {
            let entries = fs::read_dir(dir).expect("readable").flatten();
            let mut names: Vec<String> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(dir.path()), ["run"]);
        (Record::load(&run).expect("a record"), names(&run))
    }

    /// Why the machine counts as lost.
    fn lost(record: &Record) -> Option<&str> {
        record.events.iter().rev().find_map(|stamped| match &stamped.event {
            Event::Ended { reason: EndReason::MachineLost { what, .. } } => Some(what.as_str()),
            _ => None,
        })
    }

    #[test]
    fn a_record_arrives_whole_and_is_judged_as_inside() {
        let (record, names) = received(&stream(), Seen { waited_percent: Some(7), ..Seen::default() });
        let inside = Record::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(SAVED)).expect("saved");
        assert!((&record.events, &record.samples) == (&inside.events, &inside.samples));
        assert_eq!(record.head.plan, inside.head.plan);
        assert_eq!(record.head.guest.as_ref().and_then(|guest| guest.waited_percent), Some(7));
        assert_eq!(judge(&record).verdict, Verdict::Pass);
        assert_eq!(names, ["events.jsonl", "kmsg.log", "record.json", "samples.jsonl"]);
    }

    /// Wherever the machine is lost, what came before is there, and nothing is made of what is not.
    #[test]
    fn a_stream_cut_anywhere_keeps_what_came_before_and_is_open() {
        let (bytes, whole) = (stream(), received(&stream(), Seen::default()).0);
        for cut in (0..bytes.len()).step_by(611).chain([bytes.len() - 1]) {
            let seen = Seen { lost: Some("panic".into()), console: "Oops".into(), ..Seen::default() };
            let (record, _) = received(&bytes[..cut], seen);
            assert_eq!(record.damage.iter().filter(|words| words.starts_with("events")).count(), 0, "{cut}");
            let (last, before) = record.events.split_last().expect("its loss");
            assert!(whole.events.starts_with(before), "{cut}");
            assert_eq!(
                last.event,
                Event::Ended {
                    reason: EndReason::MachineLost { what: "panic".into(), console: "Oops".into() }
                }
            );
            assert!(whole.samples.at_us.starts_with(&record.samples.at_us), "{cut}");
            assert_eq!(judge(&record).verdict, Verdict::Inconclusive, "{cut}");
        }
    }

    /// The guest says what it likes: none of it makes a record of another case, another file, or a verdict.
    #[rstest]
    #[case::noise(b"Hello".to_vec(), "too long")]
    #[case::another_file(vec![b'/'; 9], "does not start a frame")]
    #[case::no_head(one(Kind::Head, b"{}"), "invalid head")]
    #[case::no_event(one(Kind::Events, b"{\"at_us\":1}\n"), "invalid event")]
    #[case::no_end(one(Kind::End, b"[1e99]"), "invalid end")]
    #[case::no_progress(one(Kind::Progress, b"[]"), "invalid progress")]
    #[case::disowned(
        one(Kind::Events, b"{\"at_us\":1,\"event\":{\"kind\":\"set-aside\",\"why\":\"\"}}\n"),
        "only the outer side may write"
    )]
    #[case::an_endless_line(one(Kind::Events, &vec![b'x'; LONGEST]).repeat(2), "an event of more than")]
    #[case::an_endless_log(one(Kind::KernelLog, &vec![b'x'; 1 << 20]).repeat(5), "more than 4 MiB of kernel log")]
    fn what_is_no_record_is_refused_and_told(#[case] bytes: Vec<u8>, #[case] words: &str) {
        let cut = stream().len() - 30;
        let mut lies = stream()[..cut].to_vec();
        // At the end of a frame.
        let mut whole = 0;
        let mut decoder = Decoder::default();
        decoder.feed(&lies, |_, content| whole += 5 + content.len()).expect("frames");
        lies.truncate(whole);
        lies.extend(bytes);
        let (record, names) = received(&lies, Seen::default());
        let why = lost(&record).unwrap_or_default();
        assert!(why.starts_with("it sent an invalid record: ") && why.contains(words), "{why}");
        assert_eq!(judge(&record).verdict, Verdict::Inconclusive);
        assert!(record.events.len() > 10, "what came before is kept");
        assert_eq!(names, ["events.jsonl", "kmsg.log", "record.json", "samples.jsonl"]);
    }

    fn ended(lengths: Lengths, failed: Option<&str>) -> Vec<u8> {
        let end = End { lengths, failed: failed.map(str::to_owned) };
        one(Kind::End, &serde_json::to_vec(&end).expect("json"))
    }

    #[test]
    fn what_fails_inside_is_the_end_of_the_record_and_open() {
        let why = "cannot reach systemd";
        let (record, _) = received(&ended(Lengths::default(), Some(why)), Seen::default());
        let last = record.events.last().map(|stamped| stamped.event.clone());
        assert_eq!(last, Some(Event::Ended { reason: EndReason::SetupFailed { reason: why.into() } }));
        let judgement = judge(&record);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert!(judgement.reason.as_deref().is_some_and(|words| words.contains(why)), "{judgement:?}");
    }

    #[test]
    fn who_listens_learns_each_part_of_the_run_and_when_it_asks_for_leave() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut receiver = Receiver::begin(&dir.path().join("run"), head()).expect("begun");
        let (mut marks, mut asked) = (Vec::new(), 0);
        receiver.feed(&stream(), &mut |news| match news {
            News::Phase(mark) => marks.push(mark),
            News::Ready => asked += 1,
            News::Progress(_) => {}
        });
        use Mark::{Baseline, Cleanup, Climb, Hold, Settle, Setup};
        assert_eq!(
            (marks.as_slice(), asked),
            ([Setup, Baseline, Climb, Hold, Settle, Cleanup].as_slice(), 1)
        );
    }

    fn one(kind: Kind, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::send(&mut bytes, kind, content).expect("sent");
        bytes
    }

    #[test]
    fn a_guest_does_not_say_which_case_it_is() {
        let mut lie = head();
        lie.case = None;
        lie.scenario = "another".into();
        lie.must_fail = vec!["swap-flat".into()];
        lie.guest = None;
        let bytes = one(Kind::Head, &serde_json::to_vec(&lie).expect("json"));
        let (record, _) = received(&bytes, Seen::default());
        let id = record.head.id();
        assert_eq!((id.scenario.as_str(), id.machine.as_str(), id.run), ("hard-cap-kill", "trixie", 3));
        assert!(record.head.must_fail.is_empty());
    }

    #[test]
    fn a_record_that_is_shorter_than_the_guest_says_is_open() {
        let bytes = stream();
        let end = ended(Lengths { events: 1 << 40, ..Lengths::default() }, None);
        let mut whole = 0;
        Decoder::default()
            .feed(&bytes, |kind, content| whole += if kind == Kind::End { 0 } else { 5 + content.len() })
            .expect("frames");
        let (record, _) = received(&[&bytes[..whole], &end].concat(), Seen::default());
        assert!(lost(&record).is_some_and(|why| why.ends_with(" arrived")), "{:?}", lost(&record));
        let (record, _) = received(&bytes[..whole], Seen::default());
        assert_eq!(lost(&record), Some("its record did not arrive completely"));
        assert_eq!(judge(&record).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_console_full_of_anything_fits_into_the_record() {
        let console = "\u{1}é".repeat(1 << 20);
        let (record, _) = received(&[], Seen { lost: Some("hang".into()), console, ..Seen::default() });
        assert_eq!((lost(&record), record.damage.len()), (Some("hang"), 0));
    }
}
