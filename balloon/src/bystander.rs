//! A bystander from its command line to its work. Each kind is one file, with its options and what it does with each
//! beat; none of them ends by itself.

mod chunk;
mod forker;
mod heartbeat;
mod reader;
mod sleeper;
mod spinner;
mod tcp_server;
mod work;
mod writer;

use crate::options::StartOptions;
use crate::recorder::Recorder;
use crate::start::{self, Life};
use crate::status::Phase;
use crate::trouble::Trouble;
use crate::words::Words;
use std::ffi::OsString;
use std::time::Duration;
use work::Work;

pub use forker::Forker;
pub use heartbeat::Heartbeat;
pub use reader::Reader;
pub use sleeper::Sleeper;
pub use spinner::Spinner;
pub use tcp_server::TcpServer;
pub use writer::Writer;

/// Runs next to a balloon and reports how well it fares.
///
/// Every kind reports in the status page: how late its wake-ups were, how long its steps took. A bystander is in
/// phase "holding" while it works, and works until it is killed.
///
/// Exit codes: 2 impossible command line, 3 failed (the status page has the reason), 4 the parent ended during the
/// wait, 5 not released in time.
#[derive(Debug, Clone, PartialEq, Eq, clap::Parser)]
#[command(name = "bystander", version, max_term_width = 100)]
pub struct BystanderOptions {
    /// What every actor understands.
    #[command(flatten)]
    pub start: StartOptions,
    /// What kind of bystander.
    #[command(subcommand)]
    pub role: Role,
}

/// The kinds of bystanders.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
#[expect(missing_docs, reason = "each names the options that document it")]
pub enum Role {
    Heartbeat(Heartbeat),
    TcpServer(TcpServer),
    Spinner(Spinner),
    Writer(Writer),
    Reader(Reader),
    Forker(Forker),
    Sleeper(Sleeper),
}

impl Role {
    fn work(&self) -> &dyn Work {
        match self {
            Self::Heartbeat(heartbeat) => heartbeat,
            Self::TcpServer(server) => server,
            Self::Spinner(spinner) => spinner,
            Self::Writer(writer) => writer,
            Self::Reader(reader) => reader,
            Self::Forker(forker) => forker,
            Self::Sleeper(sleeper) => sleeper,
        }
    }

    /// The time between two pieces of its work; 0 for one that does not pause.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.work().every()
    }
}

impl BystanderOptions {
    /// The command line that reads back as these options, without the program's name.
    #[must_use]
    pub fn to_args(&self) -> Vec<OsString> {
        let mut words = Words::default();
        self.start.words(&mut words);
        words.word(self.role.work().kind().0);
        self.role.work().words(&mut words);
        words.into_vec()
    }
}

/// Runs a bystander until it is ended from outside.
///
/// # Errors
///
/// [`Trouble`], already written into the status page if there is one.
pub fn run(options: &BystanderOptions) -> Result<(), Trouble> {
    let work = options.role.work();
    work.check()?;
    start::with_page(&options.start, work.kind().1, Life::First, |page| {
        work.prepare()?;
        start::wait(page, &options.start)?;
        start::begin(page, Phase::Holding);
        work.run(page, &mut Recorder::new(page)).map(|never| match never {})
    })
}
