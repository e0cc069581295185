//! A tree of processes, some of which leave it as daemons do, and a steady trickle of short-lived children: what a
//! cgroup must hold together when process groups and sessions no longer do.

use crate::beat::Beat;
use crate::recorder::Recorder;
use crate::start::fork;
use crate::status::Page;
use crate::trouble::Trouble;
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, alarm, pause, setsid};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Members of the tree outlive the forker on purpose, but not for ever: SIGALRM ends them after an hour.
const LIFETIME_S: u32 = 3600;

pub(super) fn run(
    page: &Page,
    recorder: &mut Recorder<'_>,
    children: u32,
    escape: bool,
    every: Duration,
) -> Result<Infallible, Trouble> {
    page.fields().total.store(children.into(), Relaxed);
    plant(page, 0..children as usize, escape)
        .map_err(|errno| Trouble::system("fork its tree of children", errno))?;
    let mut beat = Beat::new(every);
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
