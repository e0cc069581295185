//! An actor's settings → the options of its program, from which its command line follows. `{status}` and `{data}` stand for
//! paths that only the run knows.

use std::ffi::CString;
use std::time::Duration;

use balloon::bystander::{self, BystanderOptions};
use balloon::options::{self, BalloonOptions, StartOptions};
use balloon::profile::Shape;

use crate::notation::span::Span;
use crate::scenario::actor::{Actor, Balloon, HugePages, MemoryKind, Pages, Profile, Role, Text};

/// What an actor is started with.
#[derive(Debug)]
pub(super) enum Options {
    Balloon(BalloonOptions),
    Bystander(BystanderOptions),
}

impl Options {
    /// `total` and `low` are the balloon's resolved sizes, bytes.
    pub(super) fn new(actor: &Actor, deadline: Span, total: Option<u64>, low: Option<u64>) -> Self {
        let start = StartOptions {
            status: "{status}".into(),
            wait: true,
            parent: None,
            // PID 1 ends the unit by then anyway.
            wait_timeout: Duration::from_secs(deadline.0.div_ceil(1_000_000)),
            comm: actor.comm.as_ref().and_then(|comm| CString::new(comm.as_str()).ok()),
            oom_score_adj: Some(actor.oom_score_adjust.0),
        };
        let role = match &actor.role {
            Role::Balloon(settings) => {
                return Self::Balloon(balloon(settings, start, total.unwrap_or(0), low));
            }
            Role::Heartbeat(settings) => bystander::Role::Heartbeat(bystander::Heartbeat {
                every: time(settings.every),
                touch: settings.touch.map_or(bystander::Heartbeat::TOUCH, |bytes| bytes.0),
            }),
            Role::TcpServer(settings) => bystander::Role::TcpServer(bystander::TcpServer {
                listen: settings.listen.0,
                touch: settings.touch.map_or(bystander::TcpServer::TOUCH, |bytes| bytes.0),
            }),
            Role::Spinner(settings) => {
                bystander::Role::Spinner(bystander::Spinner { threads: settings.threads })
            }
            Role::Writer(settings) => bystander::Role::Writer(bystander::Writer {
                file: "{data}.data".into(),
                bytes: settings.bytes.0,
                every: settings.every.map_or(bystander::Writer::EVERY, time),
            }),
            Role::Reader(settings) => bystander::Role::Reader(bystander::Reader {
                file: "{data}.data".into(),
                every: settings.every.map_or(bystander::Reader::EVERY, time),
            }),
            Role::Forker(settings) => bystander::Role::Forker(bystander::Forker {
                children: settings.children,
                escape: settings.escape,
                every: settings.every.map_or(bystander::Forker::EVERY, time),
            }),
            Role::Sleeper(_) => bystander::Role::Sleeper(bystander::Sleeper {}),
        };
        Self::Bystander(BystanderOptions { start, role })
    }

    /// Program name and arguments.
    pub(super) fn argv(&self) -> Vec<String> {
        let (program, words) = match self {
            Self::Balloon(options) => ("balloon", options.to_args()),
            Self::Bystander(options) => ("bystander", options.to_args()),
        };
        let words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
        std::iter::once(program.to_owned()).chain(words).collect()
    }

    /// The time between two pieces of a bystander's work, µs; 0 for what does not pause.
    pub(super) fn every_us(&self) -> u64 {
        match self {
            Self::Balloon(_) => 0,
            Self::Bystander(options) => u64::try_from(options.role.every().as_micros()).unwrap_or(u64::MAX),
        }
    }
}

fn balloon(settings: &Balloon, start: StartOptions, total: u64, low: Option<u64>) -> BalloonOptions {
    BalloonOptions {
        start,
        total,
        kind: match settings.memory {
            MemoryKind::Anon => options::Memory::Anon,
            MemoryKind::Shmem => options::Memory::Shmem,
            MemoryKind::File => options::Memory::File,
        },
        file: (settings.memory == MemoryKind::File).then(|| "{data}.data".into()),
        step: settings.step.map(|bytes| bytes.0),
        rate: settings.rate.map_or(0, |bytes| bytes.0),
        profile: match settings.profile {
            Profile::Ramp => Shape::Ramp,
            Profile::Plateau => Shape::Plateau,
            Profile::Sawtooth => Shape::Sawtooth,
            Profile::Grow => Shape::Grow,
        },
        hold: settings.hold.map(time),
        low,
        period: settings.period.map(time),
        pages: match settings.pages {
            Pages::Zero => options::Pages::Zero,
            Pages::Random => options::Pages::Random,
        },
        huge_pages: match settings.huge_pages {
            HugePages::Always => options::HugePages::Always,
            HugePages::Never => options::HugePages::Never,
            HugePages::Inherit => options::HugePages::Inherit,
        },
        text: match settings.text {
            Text::Pinned => options::Text::Pinned,
            Text::Evictable => options::Text::Evictable,
        },
        text_copy: (settings.text == Text::Evictable).then(|| "{data}.text".into()),
        mlock: settings.mlock,
        processes: settings.processes,
        retouch: settings.retouch.map_or(Duration::ZERO, time),
        ignore_sigterm: settings.ignore_sigterm,
        released: false,
    }
}

fn time(span: Span) -> Duration {
    Duration::from_micros(span.0)
}

/// A command line with the two paths in their places.
pub(crate) fn filled(argv: &[String], status: &str, data: &str) -> Vec<String> {
    argv.iter().map(|word| word.replace("{status}", status).replace("{data}", data)).collect()
}
