//! An actor under test, with its page. Ends it when the test ends, however that happens.

use balloon::status::{Page, Phase, Snapshot};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const BALLOON: &str = env!("CARGO_BIN_EXE_balloon");
pub(crate) const BYSTANDER: &str = env!("CARGO_BIN_EXE_bystander");

pub(crate) struct Actor {
    pub(crate) child: Child,
    pub(crate) page: Page,
    pub(crate) status: PathBuf,
    dir: tempfile::TempDir,
}

impl Actor {
    /// Started, and not waiting for a release.
    pub(crate) fn start(program: &str, args: &[&str]) -> Self {
        Self::spawn(program, &[], args)
    }

    /// Started with --wait.
    pub(crate) fn waiting(program: &str, args: &[&str]) -> Self {
        Self::waiting_with("0", program, args)
    }

    /// Started with --wait and this oom_score_adj.
    pub(crate) fn waiting_with(oom_score_adj: &str, program: &str, args: &[&str]) -> Self {
        let actor = Self::spawn(program, &["--wait", "--oom-score-adj", oom_score_adj], args);
        actor.until("it waits", |snapshot| snapshot.phase() == Some(Phase::Waiting));
        actor
    }

    /// Started with --wait by a shell that ignores these signals, as one does that starts something with `&`.
    pub(crate) fn waiting_below(ignored: &str, program: &str, args: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' {ignored}; exec \"$0\" \"$@\""), program]);
        let actor = Self::spawn_by(shell, &["--wait", "--oom-score-adj", "0"], args);
        actor.until("it waits", |snapshot| snapshot.phase() == Some(Phase::Waiting));
        actor
    }

    fn spawn(program: &str, first: &[&str], args: &[&str]) -> Self {
        Self::spawn_by(Command::new(program), first, args)
    }

    fn spawn_by(mut command: Command, first: &[&str], args: &[&str]) -> Self {
        // On a disk: some tests put files beside the page that tmpfs is no place for.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let status = dir.path().join("status");
        let page = Page::create(&status).unwrap();
        let child = command
            .arg("--status")
            .arg(&status)
            .args(first)
            .args(args)
            .current_dir(dir.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, page, status, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the page shows what is expected, and returns it.
    pub(crate) fn until(&self, what: &str, expected: impl Fn(&Snapshot) -> bool) -> Snapshot {
        until(what, || {
            let snapshot = self.page.snapshot();
            let done = expected(&snapshot);
            assert!(done || snapshot.phase() != Some(Phase::Failed), "before {what}: {}", snapshot.text());
            done.then_some(snapshot)
        })
    }

    pub(crate) fn until_holding(&self) -> Snapshot {
        self.until("it holds", |snapshot| snapshot.phase() == Some(Phase::Holding))
    }

    /// A file below /proc/PID.
    pub(crate) fn proc(&self, file: &str) -> String {
        let bytes = std::fs::read(format!("/proc/{}/{file}", self.pid())).unwrap();
        String::from_utf8_lossy(&bytes).trim().into()
    }

    /// A field of /proc/PID/status, without its unit.
    pub(crate) fn field(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits for the end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("it ends", || child.try_wait().unwrap())
    }

    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.page.snapshot().children().filter_map(|pid| i32::try_from(pid).ok()) {
            if is_ours(pid) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
            }
        }
    }
}

/// Not a stranger who got the pid of a child that has ended.
fn is_ours(pid: i32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program == Path::new(BALLOON) || program == Path::new(BYSTANDER)
}

/// Asks again and again, up to a deadline that no healthy machine needs.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}
