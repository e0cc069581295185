//! An actor's settings → its command line. `{status}` and `{data}` stand for paths that only the run knows.

use crate::notation::span::Span;
use crate::scenario::actor::{Actor, Balloon, HugePages, MemoryKind, Pages, Profile, Role, Text};

/// Program name and arguments. `total` and `low` are the balloon's resolved sizes, bytes.
pub(super) fn argv(actor: &Actor, deadline: Span, total: Option<u64>, low: Option<u64>) -> Vec<String> {
    let mut words = Words(Vec::new());
    words.word(if actor.balloon().is_some() { "balloon" } else { "bystander" });
    words.option("--status", "{status}");
    words.word("--wait");
    // PID 1 ends the unit by then anyway.
    words.option("--wait-timeout", deadline.0.div_ceil(1_000_000));
    words.option("--oom-score-adj", actor.oom_score_adjust.0);
    if let Some(comm) = &actor.comm {
        words.option("--comm", comm.as_str());
    }
    match &actor.role {
        Role::Balloon(balloon) => words.balloon(balloon, total.unwrap_or(0), low),
        Role::Heartbeat(heartbeat) => {
            words.word("heartbeat");
            words.option("--every", millis(heartbeat.every));
            words.maybe("--touch", heartbeat.touch.map(|bytes| bytes.0));
        }
        Role::TcpServer(server) => {
            words.word("tcp-server");
            words.option("--listen", server.listen.0);
            words.maybe("--touch", server.touch.map(|bytes| bytes.0));
        }
        Role::Spinner(spinner) => {
            words.word("spinner");
            words.option("--threads", spinner.threads);
        }
        Role::Writer(writer) => {
            words.word("writer");
            words.option("--file", "{data}.data");
            words.option("--bytes", writer.bytes.0);
            words.maybe("--every", writer.every.map(millis));
        }
        Role::Reader(reader) => {
            words.word("reader");
            words.option("--file", "{data}.data");
            words.maybe("--every", reader.every.map(millis));
        }
        Role::Forker(forker) => {
            words.word("forker");
            words.option("--children", forker.children);
            words.flag("--escape", forker.escape);
            words.maybe("--every", forker.every.map(millis));
        }
        Role::Sleeper => words.word("sleeper"),
    }
    words.0
}

/// A command line with the two paths in their places.
pub(crate) fn filled(argv: &[String], status: &str, data: &str) -> Vec<String> {
    argv.iter().map(|word| word.replace("{status}", status).replace("{data}", data)).collect()
}

fn millis(span: Span) -> u64 {
    span.0.div_ceil(1000)
}

struct Words(Vec<String>);

impl Words {
    fn word(&mut self, word: &str) {
        self.0.push(word.to_owned());
    }

    /// With `=`, so that a value such as -1000 is never taken for an option.
    fn option(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("{name}={value}"));
    }

    fn maybe(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.option(name, value);
        }
    }

    fn flag(&mut self, name: &str, on: bool) {
        if on {
            self.word(name);
        }
    }

    fn balloon(&mut self, balloon: &Balloon, total: u64, low: Option<u64>) {
        self.option("--total", total);
        self.option(
            "--kind",
            match balloon.memory {
                MemoryKind::Anon => "anon",
                MemoryKind::Shmem => "shmem",
                MemoryKind::File => "file",
            },
        );
        if balloon.memory == MemoryKind::File {
            self.option("--file", "{data}.data");
        }
        self.option(
            "--profile",
            match balloon.profile {
                Profile::Ramp => "ramp",
                Profile::Plateau => "plateau",
                Profile::Sawtooth => "sawtooth",
                Profile::Grow => "grow",
            },
        );
        self.maybe("--rate", balloon.rate.map(|bytes| bytes.0));
        self.maybe("--step", balloon.step.map(|bytes| bytes.0));
        self.maybe("--low", low);
        if let Some(hold) = balloon.hold {
            self.option("--hold", seconds(hold));
        }
        if let Some(period) = balloon.period {
            self.option("--period", seconds(period));
        }
        self.option("--pages", if balloon.pages == Pages::Random { "random" } else { "zero" });
        self.option(
            "--huge-pages",
            match balloon.huge_pages {
                HugePages::Always => "always",
                HugePages::Never => "never",
                HugePages::Inherit => "inherit",
            },
        );
        match balloon.text {
            Text::Pinned => self.option("--text", "pinned"),
            Text::Evictable => {
                self.option("--text", "evictable");
                self.option("--text-copy", "{data}.text");
            }
        }
        self.flag("--mlock", balloon.mlock);
        if balloon.processes > 1 {
            self.option("--processes", balloon.processes);
        }
        self.maybe("--retouch", balloon.retouch.map(millis));
        self.flag("--ignore-sigterm", balloon.ignore_sigterm);
    }
}

#[expect(clippy::cast_precision_loss, reason = "spans of a run are far below 2^52 microseconds")]
fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1e6
}
