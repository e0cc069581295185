//! Each way in on a machine that is a temporary directory: in, refused, elsewhere, ended, undone.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use rstest::rstest;

use super::*;
use crate::error::chain;
use crate::host::HostFacts;
use crate::plan::{Expected, Plan, plan};
use crate::record::event::ActorEnd;
use crate::record::store::Store;
use crate::record::{Event, Stamped};
use crate::run::Paths;
use crate::run::containment::Systemd;
use crate::run::recorder::Recorder;
use crate::run::signals::Asked;
use crate::run::undo::{Step, Undo};
use crate::scenario::Scenario;
use crate::systemd::{Call, Fake, Manager, Unit};
use balloon::status::{Page, Phase, Snapshot, encode};

const RUN: &str = "r00000000";

/// One balloon in a scope of its own, two in one scope, two in a service.
const SCENARIO: &str = r#"
schema = 1
title = "A runaway dies at its own ceiling"
source = "a test"
safety = "contained"
deadline = "90s"
observe = "20s"

[cgroup.work]
[cgroup.pair]
unit = "scope"
[cgroup.service]
unit = "service"

[reached]
metric = "work:memory.peak"
min = "4M"
within = "10s"

[[expect]]
id = "no-other-victim"
only-victims = []
"#;

struct Bench {
    dir: tempfile::TempDir,
    plan: Plan,
    systemd: Fake,
    recorder: Recorder,
    asked: Asked,
    /// What PID 1 starts as the main process of a service.
    main: Child,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.main.kill();
        let _ = self.main.wait();
    }
}

impl Bench {
    fn new() -> Self {
        let actor = |(id, place): (&str, &str)| {
            format!(
                "[[actor]]\nid = \"{id}\"\nkind = \"balloon\"\nin = \"{place}\"\nsize = \"8M\"\ntext = \"pinned\"\n"
            )
        };
        let actors = [
            ("hog", "work"),
            ("left", "pair"),
            ("right", "pair"),
            ("main", "service"),
            ("helper", "service"),
        ];
        let text = SCENARIO.to_owned() + &actors.map(actor).concat();
        let scenario = Scenario::parse("entry.toml", &text).unwrap_or_else(|invalid| panic!("{invalid}"));
        let facts = HostFacts { memory_total: Some(4 << 30), ..HostFacts::default() };
        let plan = plan(&scenario, &facts, RUN).expect("a plan");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let recorder = Recorder::new(Store::create(&dir.path().join("record")).expect("a store"));
        let main = Command::new("sleep").arg("60").spawn().expect("started");
        let systemd = Fake::new(257);
        systemd.next_main_pid(main.id());
        Self { dir, plan, systemd, recorder, asked: Asked::default(), main }
    }

    fn paths(&self) -> Paths {
        let root = self.dir.path();
        Paths {
            cgroups: root.join("cgroups"),
            root: root.to_owned(),
            state: root.join("state"),
            data: root.join("data"),
            programs: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/programs"),
            kmsg: root.join("kmsg"),
        }
    }

    /// Works on the plan with a journal, which is handed back.
    fn on_site<T>(&self, work: impl FnOnce(&mut Site<'_>) -> T) -> (T, Undo) {
        let paths = self.paths();
        let mut undo = Undo::begin(&paths.state, RUN).expect("begun");
        let containment = Systemd(&self.systemd);
        let mut site = Site {
            declared: &self.plan.cgroups,
            paths: &paths,
            systemd: &self.systemd,
            containment: &containment,
            recorder: &self.recorder,
            undo: &mut undo,
            asked: &self.asked,
        };
        let done = work(&mut site);
        (done, undo)
    }

    fn planned(&self, id: &str) -> &PlannedActor {
        self.plan.actors.iter().find(|actor| actor.id == id).expect("planned")
    }

    /// Every actor started, and those that it needs before it in their cgroups.
    fn enter_all<'a>(&'a self, site: &mut Site<'_>) -> Result<Vec<Actor<'a>>, SetupError> {
        let mut actors = Vec::new();
        for planned in &self.plan.actors {
            let page = Page::create(&site.status_path(&planned.id)).expect("a page");
            actors.push(Actor::waiting(planned, Arc::new(page), of(planned.place).start(planned, site)?));
        }
        for actor in &actors {
            of(actor.planned.place).enter(actor, &actors, site)?;
        }
        Ok(actors)
    }

    /// The kernel made the cgroup of the service.
    fn service_is_there(&self) {
        let cgroup = self.planned("helper").cgroup.path().below(&self.paths().cgroups);
        fs::create_dir_all(cgroup).expect("made");
    }

    /// What the kernel shows of an actor, which says that it waits.
    fn is_seen(&self, actor: &Actor<'_>, cgroup: &str, adj: i32) {
        let proc = self.dir.path().join("proc").join(actor.process.pid().to_string());
        fs::create_dir_all(&proc).expect("made");
        fs::write(proc.join("cgroup"), format!("0::{cgroup}\n")).expect("written");
        fs::write(proc.join("oom_score_adj"), format!("{adj}\n")).expect("written");
        fs::write(proc.join("comm"), "balloon\n").expect("written");
        let waiting = Snapshot { phase: Phase::Waiting as u32, ..actor.page.snapshot() };
        let status = self.paths().state.join(RUN).join(format!("{}.status", actor.planned.id));
        let page = fs::OpenOptions::new().write(true).open(status).expect("opened");
        std::os::unix::fs::FileExt::write_all_at(&page, &encode(&waiting), 0).expect("written");
    }

    fn events(&self) -> Vec<Event> {
        let text = fs::read_to_string(self.dir.path().join("record/events.jsonl")).expect("events");
        let events = text.lines().map(|line| serde_json::from_str::<Stamped>(line).expect("an event").event);
        events.collect()
    }

    fn stopped(&self) -> Vec<String> {
        let stops = self.systemd.calls().into_iter().filter(|call| matches!(call, Call::Stop(_)));
        stops.map(|call| call.unit().to_owned()).collect()
    }
}

fn find<'a, 'b>(actors: &'b mut [Actor<'a>], id: &str) -> &'b mut Actor<'a> {
    actors.iter_mut().find(|actor| actor.planned.id == id).expect("started")
}

#[test]
fn every_actor_gets_into_the_unit_of_the_plan_which_ends_at_the_deadline() {
    let bench = Bench::new();
    bench.service_is_there();
    let (actors, _) = bench.on_site(|site| bench.enter_all(site).expect("in"));
    let pid = |id: &str| actors.iter().find(|actor| actor.planned.id == id).expect("started").process.pid();
    let started: Vec<(String, Vec<u32>)> = bench
        .systemd
        .calls()
        .into_iter()
        .map(|call| match call {
            Call::StartScope(unit, _, pids, properties) => (unit, pids, properties),
            Call::StartService(unit, _, _, _, properties) => (unit, Vec::new(), properties),
            other => panic!("{other:?}"),
        })
        .map(|(unit, pids, properties)| {
            assert!(properties.contains(&"RuntimeMaxSec=90s".parse().expect("a property")), "{unit}");
            (unit, pids)
        })
        .collect();
    let unit = |id: &str| bench.planned(id).unit.to_string();
    let expected = [
        (unit("main"), vec![]),
        (unit("hog"), vec![pid("hog")]),
        (unit("left"), vec![pid("left"), pid("right")]),
    ];
    assert_eq!(started, expected);
    assert_eq!(pid("main"), bench.main.id());
    let procs = bench.planned("helper").cgroup.path().below(&bench.paths().cgroups).join("cgroup.procs");
    assert_eq!(fs::read_to_string(procs).expect("moved"), pid("helper").to_string());
}

#[rstest]
#[case::a_scope_of_its_own("hog")]
#[case::a_shared_scope("right")]
#[case::a_service("main")]
fn a_unit_that_is_somebody_elses_takes_no_actor(#[case] id: &str) {
    let bench = Bench::new();
    bench.service_is_there();
    let name = bench.planned(id).unit.to_string();
    let theirs = Unit {
        name: name.clone(),
        load_state: "loaded".into(),
        active_state: Some("active".into()),
        ..Unit::default()
    };
    bench.systemd.put(theirs.clone());
    let (refused, undo) = bench.on_site(|site| bench.enter_all(site).map(drop));
    let error = refused.expect_err("refused").to_string();
    assert!(error.starts_with(&format!("{name} already exists (active)")), "{error}");
    assert!(!undo.knows(&Step::StopUnit(name.clone())));
    undo.unwind(&bench.systemd, Some(&bench.paths().cgroups));
    assert_eq!(bench.systemd.unit(&name).expect("known"), theirs);
}

#[test]
fn a_service_that_is_gone_takes_no_helper() {
    let bench = Bench::new();
    let (refused, _) = bench.on_site(|site| bench.enter_all(site).map(drop));
    let error = refused.expect_err("nowhere to go");
    assert!(error.to_string().ends_with("cgroup.procs"), "{}", chain(&error));
}

#[test]
fn a_service_whose_main_process_is_gone_at_once_fails_the_set_up() {
    let mut bench = Bench::new();
    bench.main.kill().expect("killed");
    bench.main.wait().expect("reaped");
    let (refused, undo) = bench.on_site(|site| bench.enter_all(site).map(drop));
    let (error, pid) = (refused.expect_err("gone").to_string(), bench.main.id());
    assert_eq!(error, format!("cannot get a pidfd of process {pid} of main"));
    assert!(undo.knows(&Step::StopUnit(bench.planned("main").unit.to_string())));
}

#[rstest]
#[case::a_scope_of_its_own("hog")]
#[case::a_shared_scope("left")]
#[case::a_service("main")]
#[case::a_running_service("helper")]
fn an_actor_is_recorded_where_it_was_seen_and_nowhere_else(#[case] id: &str) {
    let mut bench = Bench::new();
    // Somebody else chooses the cgroup: known is only what it lies below.
    let planned = bench.plan.actors.iter_mut().find(|actor| actor.id == id).expect("planned");
    let exactly = planned.cgroup.path().clone();
    let above = exactly.parent().expect("a parent");
    planned.cgroup = Expected::Below(above.clone());
    let service = bench.plan.cgroups.iter().find(|unit| *unit.name == *"service").expect("planned");
    let helpers = service.cgroup.below(&bench.dir.path().join("cgroups"));
    fs::create_dir_all(helpers).expect("made");
    let (seen, _) = bench.on_site(|site| {
        let mut actors = bench.enter_all(site).expect("in");
        let actor = find(&mut actors, id);
        bench.is_seen(actor, "/elsewhere.slice/x.scope", 0);
        let error = site.verify(actor).expect_err("elsewhere").to_string();
        let expected = format!(
            "{id} is in /elsewhere.slice/x.scope with oom_score_adj 0, expected a cgroup below {above} with 0"
        );
        assert_eq!(error, expected);
        bench.is_seen(actor, exactly.as_str(), 7);
        assert!(
            site.verify(actor).expect_err("another oom_score_adj").to_string().contains("oom_score_adj 7")
        );
        bench.is_seen(actor, exactly.as_str(), 0);
        site.verify(actor).expect("in its place")
    });
    assert_eq!(seen, exactly);
    let placed = bench.events().into_iter().filter_map(|event| match event {
        Event::ActorPlaced { actor, cgroup, .. } => Some((actor, cgroup)),
        _ => None,
    });
    assert_eq!(placed.collect::<Vec<_>>(), [(id.to_owned(), exactly.to_string())]);
}

#[rstest]
#[case::a_scope_of_its_own("hog", ActorEnd::Signalled(9))]
#[case::a_shared_scope("left", ActorEnd::Signalled(9))]
#[case::a_running_service("helper", ActorEnd::Signalled(9))]
// PID 1 is told its wait status, and nobody guesses it.
#[case::a_service("main", ActorEnd::Unknown)]
fn the_end_of_an_actor_is_what_could_be_learnt_of_it(#[case] id: &str, #[case] expected: ActorEnd) {
    let bench = Bench::new();
    bench.service_is_there();
    let (mut actors, _) = bench.on_site(|site| bench.enter_all(site).expect("in"));
    let process = &mut find(&mut actors, id).process;
    assert_eq!(process.end(), None);
    let pid = nix::unistd::Pid::from_raw(process.pid().try_into().expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
    let held = crate::process::Held::open(process.pid()).expect("not reaped yet");
    assert!(held.ends_within(std::time::Duration::from_secs(30)));
    assert_eq!(process.end(), Some(expected));
    assert!(!process.runs());
}

#[test]
fn what_was_entered_is_undone_unit_by_unit_and_no_child_is_left() {
    let bench = Bench::new();
    bench.service_is_there();
    let (actors, undo) = bench.on_site(|site| bench.enter_all(site).expect("in"));
    let children = actors.iter().filter(|actor| actor.planned.id != "main");
    let children: Vec<_> =
        children.map(|actor| crate::process::Held::open(actor.process.pid()).expect("held")).collect();
    drop(actors);
    assert!(children.iter().all(|child| !child.runs()));
    assert_eq!(undo.unwind(&bench.systemd, None).len(), undo_of_slices(&bench));
    let units = ["left", "hog", "main"].map(|id| bench.planned(id).unit.to_string());
    assert_eq!(bench.stopped(), units);
}

/// The slices that came along, which stay as long as nobody may look who is in them.
fn undo_of_slices(bench: &Bench) -> usize {
    let started = bench.systemd.list("").expect("listed");
    started.iter().filter(|unit| unit.name.ends_with(".slice")).count()
}
