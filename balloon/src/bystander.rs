//! A bystander from its command line to its work. Each kind is one file that says what it does with each beat;
//! none of them ends by itself.

mod chunk;
mod forker;
mod heartbeat;
mod reader;
mod sleeper;
mod spinner;
mod tcp_server;
mod writer;

use crate::options::{BystanderOptions, Role};
use crate::recorder::Recorder;
use crate::start::{self, Life};
use crate::status::{Kind, Page, Phase};
use crate::trouble::Trouble;
use std::convert::Infallible;

/// Runs a bystander until it is ended from outside.
///
/// # Errors
///
/// [`Trouble`], already written into the status page if there is one.
pub fn run(options: &BystanderOptions) -> Result<(), Trouble> {
    check(&options.role)?;
    start::with_page(&options.start, kind(&options.role), Life::First, |page| {
        if matches!(options.role, Role::Sleeper) {
            sleeper::lock()?;
        }
        start::wait(page, &options.start)?;
        work(&options.role, page).map(|never| match never {})
    })
}

fn kind(role: &Role) -> Kind {
    match role {
        Role::Heartbeat { .. } => Kind::Heartbeat,
        Role::TcpServer { .. } => Kind::TcpServer,
        Role::Spinner { .. } => Kind::Spinner,
        Role::Writer { .. } => Kind::Writer,
        Role::Reader { .. } => Kind::Reader,
        Role::Forker { .. } => Kind::Forker,
        Role::Sleeper => Kind::Sleeper,
    }
}

fn check(role: &Role) -> Result<(), Trouble> {
    let usage = |words: &str| Err(Trouble::Usage(words.into()));
    match role {
        Role::Heartbeat { every, .. } | Role::Forker { every, .. } if every.is_zero() => {
            usage("--every is 0: a beat needs a time between two beats")
        }
        Role::Heartbeat { touch, .. } | Role::TcpServer { touch, .. } if *touch > chunk::LARGEST => {
            usage("--touch is more than 1G: a bystander touches a little, a balloon much")
        }
        Role::Writer { bytes: 0, .. } => usage("--bytes is 0: there would be nothing to write"),
        Role::Writer { file, .. } if file.symlink_metadata().is_ok() => {
            usage("--file exists: the writer overwrites its file, so it only takes a new one")
        }
        _ => Ok(()),
    }
}

fn work(role: &Role, page: &Page) -> Result<Infallible, Trouble> {
    start::begin(page, Phase::Holding);
    let mut recorder = Recorder::new(page);
    match role {
        Role::Heartbeat { every, touch } => heartbeat::run(&mut recorder, *every, *touch),
        Role::TcpServer { listen, touch } => tcp_server::run(page, &mut recorder, *listen, *touch),
        Role::Spinner { threads } => spinner::run(page, *threads),
        Role::Writer { file, bytes, every } => writer::run(page, &mut recorder, file, *bytes, *every),
        Role::Reader { file, every } => reader::run(page, &mut recorder, file, *every),
        Role::Forker { children, escape, every } => {
            forker::run(page, &mut recorder, *children, *escape, *every)
        }
        Role::Sleeper => sleeper::run(&mut recorder),
    }
}
