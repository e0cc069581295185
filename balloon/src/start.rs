//! An actor's first moves, in the order in which safety needs them: status page, oom_score_adj, name; then the
//! wait for the release. Also its last move: the reason of a failure, into the page and onto stderr.

use crate::options::StartOptions;
use crate::status::{Kind, Page, PageError, Phase};
use crate::trouble::Trouble;
use crate::{clock, futex};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Pid, getppid};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How soon an actor notices that its parent is gone.
const PARENT_CHECK: Duration = Duration::from_millis(100);

/// Whether the program was started, or has become its own copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    First,
    /// The page is its own already.
    Second,
}

/// Opens the page and hands it to `work`; a failure of `work` becomes the page's last words.
pub(crate) fn with_page(
    options: &StartOptions,
    kind: Kind,
    life: Life,
    work: impl FnOnce(&Page) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let page = open(&options.status, options.wait, life)?;
    let fields = page.fields();
    fields.kind.store(kind as u32, Relaxed);
    fields.pid.store(std::process::id(), Relaxed);
    page.alive();
    let done = settle(options).and_then(|()| work(&page));
    if let Err(trouble) = &done {
        // The words of the process that failed are worth more than the count of its parent.
        if !matches!(trouble, Trouble::ProcessesFailed { .. }) {
            page.fail(&trouble.line(), trouble.errno());
        }
    }
    done
}

fn open(path: &Path, must_exist: bool, life: Life) -> Result<Page, PageError> {
    if !must_exist && life == Life::First && !path.exists() {
        return Page::create(path);
    }
    let page = Page::open(path)?;
    match (life, page.snapshot().pid) {
        (Life::Second, _) | (Life::First, 0) => Ok(page),
        (Life::First, pid) => Err(PageError::Taken { path: path.into(), pid }),
    }
}

fn settle(options: &StartOptions) -> Result<(), Trouble> {
    stop_ignoring();
    // A starter that blocks signals for itself hands its mask on (std::process::Command keeps it): a killer's SIGTERM
    // would then wait for ever.
    SigSet::all().thread_unblock().map_err(|errno| Trouble::system("unblock signals", errno))?;
    set_oom_score_adj(options.oom_score_adj.unwrap_or(0))?;
    if let Some(comm) = &options.comm {
        prctl::set_name(comm).map_err(|errno| Trouble::system("set the name of the process", errno))?;
    }
    Ok(())
}

/// Puts every signal that the starter ignores back to its default: of all dispositions only "ignored" survives an exec
/// (signal(7)), and whoever starts something with `&` or nohup(1) hands it on. SIGPIPE stays ignored, as the runtime of
/// Rust has it in every program: a reader of stderr that is gone must not become the end of an actor. So do the signals that the C library keeps for
/// itself and refuses to talk about.
#[expect(unsafe_code, reason = "nix has neither real-time signals nor a way to look without changing")]
fn stop_ignoring() {
    for number in (1..=libc::SIGRTMAX()).filter(|number| *number != libc::SIGPIPE) {
        // SAFETY: all zeroes is a valid sigaction, and the call only fills it in.
        let found = unsafe {
            let mut found: libc::sigaction = std::mem::zeroed();
            (libc::sigaction(number, std::ptr::null(), &raw mut found) == 0).then_some(found.sa_sigaction)
        };
        if found == Some(libc::SIG_IGN) {
            // SAFETY: SIG_DFL runs no code of this program. SIGKILL, SIGSTOP and the signals that the C library keeps for
            // itself are never found ignored.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
    }
}

fn set_oom_score_adj(wanted: i16) -> Result<(), Trouble> {
    const PATH: &str = "/proc/self/oom_score_adj";
    let read =
        || std::fs::read_to_string(PATH).map_err(|error| Trouble::system(format!("read {PATH}"), error));
    // Lowering it needs CAP_SYS_RESOURCE, writing the same value does too (proc_oom_score_adj(5)): look first.
    if read()?.trim() != wanted.to_string() {
        std::fs::write(PATH, wanted.to_string())
            .map_err(|error| Trouble::system(format!("write {wanted} to {PATH}"), error))?;
    }
    let found = read()?.trim().to_owned();
    if found == wanted.to_string() { Ok(()) } else { Err(Trouble::OomScoreAdj { wanted, found }) }
}

/// Waits until the harness lets the actor go; returns at once without --wait.
pub(crate) fn wait(page: &Page, options: &StartOptions) -> Result<(), Trouble> {
    if !options.wait {
        return Ok(());
    }
    let parent = options.parent.map_or_else(getppid, Pid::from_raw);
    page.set_phase(Phase::Waiting);
    let deadline = clock::now_ns().saturating_add(clock::ns(options.wait_timeout));
    while !page.is_released() {
        let now = clock::now_ns();
        if getppid() != parent {
            return Err(Trouble::Orphaned { parent: parent.as_raw() });
        }
        if now >= deadline {
            return Err(Trouble::NotReleased { waited: options.wait_timeout });
        }
        futex::wait(&page.fields().release, 0, Duration::from_nanos(deadline - now).min(PARENT_CHECK));
        page.alive();
    }
    Ok(())
}

/// Inherited by processes that are forked from now on (signal(7)). Not before the release: an actor that only waits
/// is ended by whoever cleans up.
#[expect(unsafe_code, reason = "signal is unsafe for handlers that are functions")]
pub(crate) fn ignore_sigterm() -> Result<(), Trouble> {
    // SAFETY: SIG_IGN runs no code.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }
        .map(drop)
        .map_err(|errno| Trouble::system("ignore SIGTERM", errno))
}

/// Says that work begins now; returns the time.
pub(crate) fn begin(page: &Page, phase: Phase) -> u64 {
    let now = clock::now_ns();
    page.fields().started_ns.store(now, Relaxed);
    page.set_phase(phase);
    now
}

/// The end of `main`: words for people on stderr, the exit code for programs.
#[must_use]
pub fn finish(name: &str, done: &Result<(), Trouble>) -> ExitCode {
    let Err(trouble) = done else { return ExitCode::SUCCESS };
    // Not eprintln: it panics when stderr is closed.
    let _ = writeln!(std::io::stderr(), "{name}: {}", trouble.line());
    ExitCode::from(trouble.exit_code())
}

/// A fork in a program that has one thread, so that the child may do anything.
#[expect(unsafe_code, reason = "fork is unsafe for programs with several threads")]
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: no actor that forks ever starts a thread, so no lock can be held by a thread the child lacks.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Some(child)),
        nix::unistd::ForkResult::Child => Ok(None),
    }
}
