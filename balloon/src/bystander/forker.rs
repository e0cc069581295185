//! A tree of processes, some of which leave it as daemons do, and a steady trickle of short-lived children: what a
//! cgroup must hold together when process groups and sessions no longer do.

use super::work::{Work, usage};
use crate::beat::Beat;
use crate::quantity::milliseconds;
use crate::recorder::Recorder;
use crate::start::fork;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::{Words, millis};
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, alarm, pause, setsid};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Members of the tree outlive the forker on purpose, but not for ever: SIGALRM ends them after an hour.
const LIFETIME_S: u32 = 3600;

/// Grows a tree of child processes, and then forks one short-lived child after another. Its gaps are the durations
/// of these forks.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Forker {
    /// Processes in the tree, at most 64.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub children: u32,
    /// Let every second process of the tree leave its parent and its session, as daemons do.
    #[arg(long)]
    pub escape: bool,
    /// Time between two short-lived children.
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = milliseconds)]
    pub every: Duration,
}

impl Forker {
    /// The time between two short-lived children when it is not told.
    pub const EVERY: Duration = Duration::from_secs(1);
}

impl Work for Forker {
    fn kind(&self) -> (&'static str, Kind) {
        ("forker", Kind::Forker)
    }

    fn words(&self, words: &mut Words) {
        words.option("--children", self.children);
        words.flag("--escape", self.escape);
        words.unless(millis(Self::EVERY), "--every", millis(self.every));
    }

    fn check(&self) -> Result<(), Trouble> {
        if self.every.is_zero() {
            return usage("--every is 0: the time between two beats must be above 0");
        }
        Ok(())
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn run(&self, page: &Page, recorder: &mut Recorder<'_>) -> Result<Infallible, Trouble> {
        page.fields().total.store(self.children.into(), Relaxed);
        plant(page, 0..self.children as usize, self.escape)
            .map_err(|errno| Trouble::system("fork its tree of children", errno))?;
        let mut beat = Beat::new(self.every);
        loop {
            beat.wait_uncounted(recorder);
            recorder.begin();
            let failed = |errno| Trouble::system("fork a short-lived child", errno);
            match fork().map_err(failed)? {
                Some(child) => wait_for(child).map_err(failed)?,
                None => std::process::exit(0),
            }
            recorder.end_as_gap();
        }
    }
}

/// Starts the processes of these slots below the calling one: two children, each with half of the rest below it.
fn plant(page: &Page, slots: Range<usize>, escape: bool) -> Result<(), Errno> {
    let middle = slots.start + slots.len().div_ceil(2);
    for half in [slots.start..middle, middle..slots.end].into_iter().filter(|half| !half.is_empty()) {
        let escaping = escape && half.start % 2 == 1;
        match fork()? {
            Some(intermediate) if escaping => wait_for(intermediate)?,
            Some(_) => {}
            None if escaping => match fork() {
                // The intermediate ends at once: its child belongs to init, or to the next subreaper.
                Ok(Some(_)) => std::process::exit(0),
                Ok(None) => {
                    let _ = setsid();
                    live(page, half, escape)
                }
                Err(_) => std::process::exit(1),
            },
            None => live(page, half, escape),
        }
    }
    Ok(())
}

fn live(page: &Page, slots: Range<usize>, escape: bool) -> ! {
    let fields = page.fields();
    fields.pids[slots.start].store(std::process::id(), Relaxed);
    fields.children.fetch_add(1, Relaxed);
    alarm::set(LIFETIME_S);
    let below = slots.start + 1..slots.end;
    if plant(page, below, escape).is_err() {
        std::process::exit(1);
    }
    loop {
        pause();
    }
}

fn wait_for(child: Pid) -> Result<(), Errno> {
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            done => return done.map(|_| ()),
        }
    }
}
