//! A pristine clone with the programs and the test scenarios in it, and a run of `bulkhead` there.
//!
//! It waits for conditions with a deadline and decides nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as HostCommand;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ci::{CloneOptions, Command, Exit, Guest, Lab, Running, Stream, Vm};
use harness::exit_code::ExitCode;
use harness::judge::{Judgement, judge};
use harness::record::event::{EndReason, Mark};
use harness::record::{Event, Record};
use nix::sys::signal::Signal;
use reports::finding::Finding;
use reports::kill::Kill;
use reports::outcome::Cleanup;

/// Where the run under test stores in the guest: memory.
pub(crate) const STORE: &str = "/run/store";
/// The record in it, as a pattern for the shell: of one run, of one case.
pub(crate) const RECORD: &str = "/run/store/*/*";
/// Where the programs lie in the guest.
const INSIDE: &str = "/opt/bulkhead";
/// How long anything may take on an emulated machine that shares its processors with a build.
const PATIENCE: Duration = Duration::from_secs(60);

/// The programs as users get them, and what to do when they are not there.
pub(crate) fn programs() -> PathBuf {
    let directory = std::env::var_os("BULKHEAD_BIN_DIR").map_or_else(
        || {
            // …/debug/deps/vm-1 → …/release
            let test = std::env::current_exe().expect("the path of this test");
            let profile = test.ancestors().nth(2).expect("a target directory");
            profile.with_file_name("release")
        },
        PathBuf::from,
    );
    for program in ["bulkhead", "balloon", "bystander", "agent"] {
        let path = directory.join(program);
        assert!(path.is_file(), "{} is missing: build it with `cargo build --release`", path.display());
    }
    directory
}

fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| Lab::prepare(Guest::Trixie, &|_| {}).expect("a machine to clone"))
}

/// The tar that goes into every clone.
fn bundle() -> &'static Path {
    static BUNDLE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = BUNDLE.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let inside = directory.path().join(INSIDE.trim_start_matches('/'));
        fs::create_dir_all(inside.join("scenarios")).expect("mkdir");
        for program in ["bulkhead", "balloon", "bystander"] {
            fs::copy(programs().join(program), inside.join(program)).expect("copy a program");
        }
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        for scenarios in [own.join("tests/fixtures/vm-scenarios"), own.join("../scenarios")] {
            for file in
                fs::read_dir(scenarios).expect("scenarios").flatten().filter(|file| file.path().is_file())
            {
                fs::copy(file.path(), inside.join("scenarios").join(file.file_name()))
                    .expect("copy a scenario");
            }
        }
        let tar = HostCommand::new("tar")
            .args(["--owner=0", "--group=0", "-cf", "files.tar", "opt"])
            .current_dir(directory.path())
            .status();
        assert!(tar.expect("tar").success());
        directory
    });
    static TAR: OnceLock<PathBuf> = OnceLock::new();
    TAR.get_or_init(|| directory.path().join("files.tar"))
}

/// A clone.
pub(crate) struct Machine {
    vm: Vm,
    _turn: Turn,
}

/// Machines run side by side, but for those whose test has to be in time.
static TURNS: RwLock<()> = RwLock::new(());

/// Keeps all other tests' machines away for as long as it is held.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    TURNS.write().unwrap_or_else(PoisonError::into_inner)
}

#[expect(dead_code, reason = "held, never looked at")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        Self::spawn(name, Turn::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A machine that shares the processors with no other test's.
    pub(crate) fn alone(name: &str) -> Self {
        Self::spawn(name, Turn::Alone(alone()))
    }

    fn spawn(name: &str, turn: Turn) -> Self {
        let options = CloneOptions { files: Some(bundle().to_owned()), ..CloneOptions::new(name) };
        Self { vm: lab().spawn(&options).expect("a clone"), _turn: turn }
    }

    /// The machine itself.
    pub(crate) fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Runs a script and returns how it ended and all it wrote.
    pub(crate) fn try_sh(&self, script: &str) -> (Exit, String) {
        let (exit, out) = self.vm.output(&Command::sh(script).timeout(PATIENCE)).expect("an answer");
        (exit, out.trim_end().to_owned())
    }

    /// What a script writes, which has to succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let (exit, out) = self.try_sh(script);
        assert_eq!(exit, Exit::Code(0), "{script}: {out}");
        out
    }

    /// Waits until a shell condition holds.
    pub(crate) fn wait_until(&self, condition: &str) {
        let wait = format!("until {condition}; do sleep 0.02; done");
        let limit = PATIENCE.as_secs().to_string();
        let command = Command::new("timeout").args([limit.as_str(), "sh", "-c", &wait]);
        let (exit, out) = self.vm.output(&command).expect("an answer");
        let events = self.try_sh(&format!("tail -n 5 {RECORD}/events.jsonl")).1;
        assert_eq!(exit, Exit::Code(0), "waited for `{condition}`: {out}\nlast events:\n{events}");
    }

    /// Runs `bulkhead` to its end: its exit code and its words.
    pub(crate) fn bulkhead(&self, arguments: &[&str]) -> (ExitCode, String) {
        let command = Command::new(format!("{INSIDE}/bulkhead")).args(arguments.to_vec()).timeout(PATIENCE);
        let (exit, words) = self.vm.output(&command).expect("an answer");
        (code(exit, &words), words)
    }

    /// Starts a scenario on the guest itself.
    pub(crate) fn start(&self, scenario: &str) -> Run<'_> {
        self.start_with(scenario, "none", "")
    }

    /// Starts a scenario or twin, after a bit of shell in the process that becomes the harness.
    pub(crate) fn start_with(&self, scenario: &str, twins: &str, before: &str) -> Run<'_> {
        let script = format!(
            "{before}\nexec {INSIDE}/bulkhead run --on host --store {STORE} --twins {twins} \
             {INSIDE}/scenarios/{scenario}.toml"
        );
        let running = self.vm.start(&Command::sh(script).timeout(PATIENCE)).expect("a harness");
        Run { machine: self, running }
    }

    /// Fetches the record and judges it, here and with `bulkhead judge`, which have to agree.
    pub(crate) fn judged(&self) -> Judged {
        let into = tempfile::tempdir().expect("a temporary directory");
        let directory = into.path().join("record");
        let events = self.sh(&format!("ls {RECORD}/events.jsonl"));
        let record = Path::new(&events).parent().expect("its directory");
        self.vm.fetch(record, &directory).expect("the record");
        let record = Record::load(&directory).expect("a readable record");
        let judgement = judge(&record);
        let report = into.path().join("report.json");
        let again = HostCommand::new(programs().join("bulkhead"))
            .arg("judge")
            .arg(&directory)
            .arg(format!("--report=json:{}", report.display()))
            .output()
            .expect("bulkhead judge");
        let report: reports::report::Report =
            serde_json::from_slice(&fs::read(report).expect("its report")).expect("a report");
        let case = report.cases.into_iter().next().expect("one case");
        assert_eq!(case.findings, judgement.findings, "{}", String::from_utf8_lossy(&again.stderr));
        assert_eq!((case.verdict, &case.kills), (judgement.verdict, &judgement.kills));
        Judged { record, judgement, warnings: case.warnings }
    }

    /// Everything a run makes that is still there: units, cgroups, processes, journals, files; one a line.
    pub(crate) fn left(&self) -> String {
        self.sh(
            "systemctl list-units --all --plain --no-legend 'bulkhead*' '*bulkhead_*' | grep -v ^bulkhead-agent.service || true
             find /sys/fs/cgroup -type d \\( -name 'bulkhead*' -o -name '*bulkhead_*' \\) ! -name bulkhead-agent.service
             pgrep -al 'balloon|bystander|bulkhead' || true
             find /run/bulkhead /var/lib/bulkhead /run/systemd/transient -mindepth 1 -name '*' 2>/dev/null || true",
        )
    }

    /// The processes of the actors, and the cgroups of bulkhead that hold any process.
    pub(crate) fn running(&self) -> String {
        self.sh(RUNNING)
    }
}

/// Prints what still runs: actors under any name (their program is theirs whatever they call themselves), and populated
/// cgroups of bulkhead that are not the guest's own agent. What vanishes while it is looked at does not run.
pub(crate) const RUNNING: &str = "
    for exe in /proc/[0-9]*/exe; do
        case $(readlink $exe) in */balloon*|*/bystander*|*.text*) echo $exe;; esac
    done
    find /sys/fs/cgroup -path '*bulkhead*' ! -path '*bulkhead-agent*' -name cgroup.procs -exec cat {} + 2>/dev/null || true";

fn code(exit: Exit, words: &str) -> ExitCode {
    match exit {
        Exit::Code(code) => {
            u8::try_from(code).ok().and_then(ExitCode::from_code).unwrap_or_else(|| panic!("{code}: {words}"))
        }
        Exit::Signal(signal) => panic!("ended by signal {signal}: {words}"),
    }
}

/// A harness at work in a guest.
pub(crate) struct Run<'a> {
    machine: &'a Machine,
    running: Running,
}

impl Run<'_> {
    /// The process id of the harness.
    pub(crate) fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Waits until a part of the run has begun.
    pub(crate) fn reaches(&self, mark: Mark) {
        let name = serde_json::to_string(&mark).expect("a name");
        self.machine.wait_until(&format!("grep -qs '\"phase\":{name}' {RECORD}/events.jsonl"));
    }

    /// The process id of an actor.
    pub(crate) fn actor(&self, id: &str) -> String {
        let pid = self.machine.sh(&actor_pid(id));
        assert!(pid.parse::<u32>().is_ok(), "{id} has no pid yet: {pid:?}");
        pid
    }

    /// Signals the harness alone, not its children.
    pub(crate) fn signal(&self, signal: Signal) {
        self.machine.sh(&format!("kill -{} {}", signal as i32, self.pid()));
    }

    /// Waits for the end of the harness: how, and its words.
    pub(crate) fn wait(mut self) -> (Exit, String) {
        let mut words = Vec::new();
        let exit =
            self.running.wait(&mut |_: Stream, bytes| words.extend_from_slice(bytes)).expect("its end");
        (exit, String::from_utf8_lossy(&words).into_owned())
    }

    /// Waits for the end of the harness: its exit code, and what it recorded.
    pub(crate) fn end(self) -> (ExitCode, Judged) {
        let machine = self.machine;
        let (exit, words) = self.wait();
        (code(exit, &words), machine.judged())
    }
}

/// Shell that prints the process id of a placed actor.
pub(crate) fn actor_pid(id: &str) -> String {
    format!(
        "sed -n 's/.*\"kind\":\"actor-placed\",\"actor\":\"{id}\",\"pid\":\\([0-9]*\\).*/\\1/p' {RECORD}/events.jsonl"
    )
}

/// A record and what the judge makes of it.
pub(crate) struct Judged {
    pub(crate) record: Record,
    pub(crate) judgement: Judgement,
    pub(crate) warnings: Vec<String>,
}

impl Judged {
    /// The one kill of an actor.
    pub(crate) fn kill(&self, actor: &str) -> &Kill {
        let kills = &self.judgement.kills;
        kills.iter().find(|kill| kill.actor.as_deref() == Some(actor)).unwrap_or_else(|| panic!("{kills:#?}"))
    }

    /// A finding.
    pub(crate) fn finding(&self, id: &str) -> &Finding {
        let findings = &self.judgement.findings;
        findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("{:#?}", self.judgement))
    }

    /// Why the run ended.
    pub(crate) fn ended(&self) -> &EndReason {
        let mut ends = self.record.events.iter().filter_map(|stamped| match &stamped.event {
            Event::Ended { reason } => Some(reason),
            _ => None,
        });
        ends.next_back().expect("an end")
    }

    /// The position of the first event that fits.
    pub(crate) fn position(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.record.events.iter().position(|stamped| fits(&stamped.event)).expect("such an event")
    }

    /// Asserts that the run's own cleanup says it is proven.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.judgement.cleanup, Cleanup::Proven);
    }
}
