//! A record built in code: a run of a small scenario in which everything went as it should, to be changed by each test.
//!
//! Time line: baseline at 1 s, climb at 3 s, hold at 5 s, the hog dies at 5.4 s, settle at 6 s, cleanup at 7 s;
//! samples every half second from 1 s to 6.5 s.

use std::sync::Arc;

use harness::case::Case;
use harness::host::HostFacts;
use harness::judge::{Judgement, judge};
use harness::kmsg::oom::{Constraint, OomEvent, Scope};
use harness::plan::{PlannedDaemon, plan};
use harness::record::event::{ActorEnd, ActorStatus, AnswerResult, EndReason, Mark, UnitState, When};
use harness::record::{Event, GuestFacts, Record, Samples, Stamped};
use harness::scenario::Scenario;
use reports::finding::Finding;
use reports::kill::{Agreement, Kill};
use reports::outcome::{Killer, Verdict};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const HOG: u32 = 215;
pub(crate) const CANARY: u32 = 216;
/// When the hog is seen dead.
pub(crate) const DEATH: u64 = 5_400_000;

/// The claim of `hard-cap-kill`.
pub(crate) const KILLED: &str = r#"
[[expect]]
id = "killed"
kill = { victim = "hog", by = "memcg", limit = "work", at = { percent = 100, of = "work.MemoryMax", within-percent = 2 } }
"#;

const SCENARIO: &str = r#"
schema = 1
title = "A runaway dies at its own ceiling"
source = "a test"
safety = "contained"
deadline = "90s"
observe = "20s"

[cgroup.work]
MemoryMax = "512M"
MemorySwapMax = "0"

[[actor]]
id = "hog"
kind = "balloon"
in = "work"
size = "600M"
text = "pinned"

[[actor]]
id = "canary"
kind = "heartbeat"
in = "system.slice"
every = "20ms"

[protect]
units = ["ssh.service", "cron.service"]
answer = [{ tcp-banner = "127.0.0.1:22", within = "2s" }]

[reached]
metric = "work:memory.peak"
min = "486M"
within = "10s"
"#;

const TWIN: &str = r#"
[[twin]]
id = "broken"
set = { "work.MemorySwapMax" = "infinity" }
must-fail = ["killed"]
"#;

/// The cgroup of the run's own slice.
pub(crate) const RUN_SLICE: &str = "/bulkhead.slice/bulkhead-r1.slice";

/// A column of samples: its name, and its value at each time.
pub(crate) type Column<'a> = (&'a str, &'a dyn Fn(u64) -> Option<u64>);

/// A run under construction.
pub(crate) struct Run {
    pub(crate) record: Record,
}

impl Run {
    /// The green run of a scenario with these expectations, as written.
    pub(crate) fn claiming(expect: &str) -> Self {
        Self::of(&format!("{SCENARIO}{expect}"), None)
    }

    /// The same with a band: `MemoryHigh` at 384 MiB.
    pub(crate) fn with_band(expect: &str) -> Self {
        let text = SCENARIO.replace("MemoryMax = \"512M\"", "MemoryHigh = \"384M\"\nMemoryMax = \"512M\"");
        Self::of(&format!("{text}{expect}"), None)
    }

    /// The green run of the twin that must turn `killed` red.
    pub(crate) fn twin() -> Self {
        Self::of(&format!("{SCENARIO}{KILLED}{TWIN}"), Some("broken"))
    }

    fn of(text: &str, twin: Option<&str>) -> Self {
        let scenario =
            Scenario::parse("built.toml", text).unwrap_or_else(|invalid| panic!("{invalid}\n{text}"));
        let facts = HostFacts {
            memory_total: Some(2048 * MIB),
            killers: [(Killer::SystemdOomd, false), (Killer::Earlyoom, false)].into(),
            ..HostFacts::default()
        };
        let case = Case { scenario: Arc::new(scenario), twin: twin.map(str::to_owned), run: 1 };
        let mut head = case.head(None);
        let run = match twin {
            None => (*case.scenario).clone(),
            Some(id) => case.scenario.twin(id).expect("the twin"),
        };
        head.plan = Some(plan(&run, &facts, "r1").expect("a plan"));
        head.host = Some(facts);
        let record = Record { head, events: Vec::new(), samples: Samples::default(), damage: Vec::new() };
        let mut run = Self { record };
        run.green();
        run
    }

    fn green(&mut self) {
        for (mark, at) in [
            (Mark::Setup, 0),
            (Mark::Baseline, 1_000_000),
            (Mark::Climb, 3_000_000),
            (Mark::Hold, 5_000_000),
            (Mark::Settle, 6_000_000),
            (Mark::Cleanup, 7_100_000),
        ] {
            self.add(at, Event::Phase { phase: mark });
        }
        self.add(100, Event::UnitStarted { unit: "bulkhead-r1.slice".into(), cgroup: RUN_SLICE.into() });
        self.placed("hog", HOG, "balloon");
        self.placed("canary", CANARY, "bystander");
        for when in [When::Before, When::After] {
            for unit in ["ssh.service", "cron.service"] {
                self.unit(unit, when, Some(running("running", "success")));
            }
        }
        self.limits_read(300);
        self.limits_read(6_450_000);
        self.add(6_450_000, Event::MachineRead { swap_total: None, memory_total: Some(2048 * MIB) });
        for at in 1..=6 {
            self.answer(at * 1_000_000 + 1, AnswerResult::Answered { took_us: 31_000 });
        }
        self.killed_by_its_limit();
        self.add(6_500_000, Event::ActorAlive { actor: "canary".into(), pid: CANARY, state: Some('S') });
        self.add(6_900_000, Event::KernelLogDrained { records: 9 });
        self.add(7_000_000, Event::Ended { reason: EndReason::BalloonsEnded });
        self.add(8_000_000, Event::Cleanup { left: Vec::new() });
        self.counters_at_rest();
        self.counted_as_its_limit();
    }

    /// The limits of every unit, as planned.
    fn limits_read(&mut self, at_us: u64) {
        let plan = self.plan();
        let units = std::iter::once(&plan.slice).chain(&plan.cgroups);
        let read: Vec<Event> = units
            .map(|unit| Event::LimitsRead {
                cgroup: unit.name.to_string(),
                values: unit
                    .limits
                    .iter()
                    .map(|(file, limit)| (file.name().to_owned(), limit.to_string()))
                    .collect(),
            })
            .collect();
        for event in read {
            self.add(at_us, event);
        }
    }

    fn placed(&mut self, actor: &str, pid: u32, comm: &str) {
        let cgroup = self.cgroup_of(actor);
        let (actor, comm) = (actor.to_owned(), comm.to_owned());
        self.add(200, Event::ActorPlaced { actor, pid, cgroup, oom_score_adj: 0, comm });
    }

    /// The cgroup of an actor, as planned.
    pub(crate) fn cgroup_of(&self, actor: &str) -> String {
        self.plan()
            .actors
            .iter()
            .find(|planned| planned.id == actor)
            .expect("an actor")
            .cgroup
            .path()
            .to_string()
    }

    pub(crate) fn plan(&self) -> &harness::plan::Plan {
        self.record.head.plan.as_ref().expect("a plan")
    }

    /// The cgroup whose limit the hog hits.
    pub(crate) fn work(&self) -> String {
        self.plan().cgroups[0].cgroup.to_string()
    }

    pub(crate) fn plan_mut(&mut self) -> &mut harness::plan::Plan {
        self.record.head.plan.as_mut().expect("a plan")
    }

    /// Adds an event; the record is put in order of time when it is judged.
    pub(crate) fn add(&mut self, at_us: u64, event: Event) {
        self.record.events.push(Stamped { at_us, event });
    }

    /// Takes away every event that `is` says.
    pub(crate) fn drop(&mut self, is: impl Fn(&Event) -> bool) {
        self.record.events.retain(|stamped| !is(&stamped.event));
    }

    /// The hog's end as every witness but the counters tells it.
    fn killed_by_its_limit(&mut self) {
        let (limit, cgroup) = (self.work(), self.cgroup_of("hog"));
        self.logged_summary(Some(&limit), &cgroup, HOG);
        self.logged_kill(Scope::Memcg, HOG, "balloon");
        self.add(DEATH, Event::ActorEnded { actor: "hog".into(), end: ActorEnd::Signalled(9) });
        let unit = self.plan().actors[0].unit.clone();
        self.unit(&unit, When::After, Some(running("failed", "oom-kill")));
    }

    /// Forgets everything that speaks of the hog's end, and lets it end in another way.
    pub(crate) fn hog_ends(&mut self, end: Option<ActorEnd>, result: &str) {
        self.no_kernel_oom();
        let unit = self.plan().actors[0].unit.clone();
        self.drop(|event| match event {
            Event::ActorEnded { .. } => true,
            Event::Unit { unit: of, .. } => unit.as_str() == of,
            _ => false,
        });
        match end {
            Some(end) => self.add(DEATH, Event::ActorEnded { actor: "hog".into(), end }),
            None => {
                self.add(6_500_000, Event::ActorAlive { actor: "hog".into(), pid: HOG, state: Some('S') });
            }
        }
        let state = if end.is_some() { "dead" } else { "running" };
        self.unit(&unit, When::After, Some(running(state, result)));
        self.counters_at_rest();
    }

    /// Takes the kernel's OOM lines out of the log.
    pub(crate) fn no_kernel_oom(&mut self) {
        self.drop(|event| matches!(event, Event::KernelOom { .. }));
    }

    /// `oom-kill:…`; without a limit, of a machine-wide OOM.
    pub(crate) fn logged_summary(&mut self, limit: Option<&str>, cgroup: &str, pid: u32) {
        let oom = OomEvent::Summary {
            constraint: if limit.is_some() { Constraint::Memcg } else { Constraint::None },
            oom_memcg: limit.map(|path| path.parse().expect("a path")),
            global: limit.is_none(),
            task_memcg: cgroup.parse().expect("a path"),
            task: "balloon".into(),
            pid,
            uid: 0,
        };
        self.add(5_303_000, Event::KernelOom { seq: 1, logged_us: Some(5_300_000), oom });
    }

    /// `Killed process …`.
    pub(crate) fn logged_kill(&mut self, scope: Scope, pid: u32, comm: &str) {
        self.logged_kill_at(5_301_000, scope, pid, comm);
    }

    /// The same, with the kernel's own time of it.
    pub(crate) fn logged_kill_at(&mut self, logged_us: u64, scope: Scope, pid: u32, comm: &str) {
        let oom = OomEvent::Killed {
            scope,
            pid,
            comm: comm.into(),
            total_vm_kb: 620_000,
            anon_kb: 520_000,
            file_kb: 2_000,
            shmem_kb: 0,
            uid: 0,
            oom_score_adj: 0,
        };
        self.add(5_304_000, Event::KernelOom { seq: 2, logged_us: Some(logged_us), oom });
    }

    /// What systemd says of a unit.
    pub(crate) fn unit(&mut self, unit: &str, when: When, state: Option<UnitState>) {
        let at = if when == When::Before { 500_000 } else { 6_400_000 };
        self.add(at, Event::Unit { unit: unit.into(), when, state });
    }

    /// In a VM whose QEMU waited this share of its time for a processor.
    pub(crate) fn in_a_guest_that_waited(&mut self, percent: u64) {
        self.record.head.guest = Some(GuestFacts {
            name: "trixie".into(),
            accelerator: "tcg".into(),
            waited_percent: Some(percent),
        });
    }

    /// The machine runs this killer.
    pub(crate) fn follows(&mut self, killer: Killer) {
        let unit = harness::killer::daemon(killer).expect("a daemon").unit.parse().expect("a unit");
        self.plan_mut().daemons.push(PlannedDaemon { killer, unit, start: None });
    }

    /// A daemon that ran throughout, and whose log was read to its end.
    pub(crate) fn heard(&mut self, unit: &str, lines: u64) {
        for when in [When::Before, When::After] {
            self.unit(unit, when, Some(running("running", "success")));
        }
        self.add(6_900_000, Event::DaemonLogRead { lines });
    }

    /// What earlyoom logs, line by line.
    pub(crate) fn earlyoom_says(&mut self, at_us: u64, lines: &[String]) {
        for line in lines {
            self.add(at_us, Event::DaemonLine { daemon: "earlyoom".into(), unit: None, line: line.clone() });
        }
    }

    /// One probe of what is protected.
    pub(crate) fn answer(&mut self, at_us: u64, result: AnswerResult) {
        self.add(
            at_us,
            Event::Answer { probe: 0, target: "tcp-banner 127.0.0.1:22".into(), result, began_us: None },
        );
    }

    /// What a status page says at an edge.
    pub(crate) fn status(&mut self, actor: &str, at: Mark, gaps: Vec<u64>) {
        let status = ActorStatus {
            touched: 0,
            steps: 0,
            step_max_ns: 0,
            gap_max_ns: 0,
            gaps,
            accepted: 0,
            wakeups: 0,
            error: None,
        };
        self.add(0, Event::ActorStatus { actor: actor.into(), at, status });
    }

    /// Times of the samples, µs.
    pub(crate) fn ticks() -> impl Iterator<Item = u64> {
        (2..=13).map(|half| half * 500_000)
    }

    /// Fills a column, or makes it.
    pub(crate) fn column(&mut self, name: &str, value: impl Fn(u64) -> Option<u64>) {
        let samples = &mut self.record.samples;
        let rows: Vec<u64> = Self::ticks().collect();
        let width = samples.columns.len();
        let column = samples.column(name);
        let mut values = Vec::new();
        for (row, at) in rows.iter().enumerate() {
            let mut kept = samples.values.get(row * width..(row + 1) * width).unwrap_or_default().to_vec();
            match column {
                Some(index) => kept[index] = value(*at),
                None => kept.push(value(*at)),
            }
            values.extend(kept);
        }
        if column.is_none() {
            samples.columns.push(name.into());
        }
        samples.values = values;
        samples.at_us = rows;
    }

    /// The stress lasts until this moment, and everything that came after it is as much later. Nothing but these columns
    /// is sampled, at these times.
    pub(crate) fn sampled_until(&mut self, settle_us: u64, at_us: &[u64], columns: &[Column<'_>]) {
        let over = 6_000_000;
        for stamped in self.record.events.iter_mut().filter(|stamped| stamped.at_us >= over) {
            stamped.at_us += settle_us - over;
        }
        self.record.samples = Samples {
            columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
            at_us: at_us.to_vec(),
            values: at_us.iter().flat_map(|at| columns.iter().map(|(_, value)| value(*at))).collect(),
        };
    }

    /// A counter that is 0 until the hog dies and `count` from then on.
    pub(crate) fn counts(&mut self, name: &str, count: u64) {
        self.column(name, |at| Some(if at < 5_300_000 { 0 } else { count }));
    }

    fn counters_at_rest(&mut self) {
        for subject in ["work", "run", "system.slice"] {
            for counter in ["max", "oom", "oom_kill"] {
                self.counts(&format!("{subject}:memory.events.{counter}"), 0);
                self.counts(&format!("{subject}:memory.events.local.{counter}"), 0);
            }
        }
        self.counts("host:oom_kill", 0);
        self.counts("host:swap.out", 0);
        self.column("work:memory.current", |at| Some(climb(at)));
        self.column("work:memory.peak", |at| Some(climb(at)));
        self.column("hog:touched", |at| Some(climb(at)));
        // A beat every 20 ms, and one step for each MiB.
        self.column("canary:wakeups", |at| Some(at / 20_000));
        self.column("canary:steps", |at| Some(at / 20_000));
        self.column("canary:gap.max", |_| Some(1_500));
        self.column("hog:wakeups", |_| Some(0));
        self.column("hog:steps", |at| Some(climb(at) / MIB));
    }

    /// The counters of a kill at the limit of `work`: `oom` where the limit is, `oom_kill` where the victim was.
    pub(crate) fn counted_as_its_limit(&mut self) {
        for subject in ["work", "run"] {
            self.counts(&format!("{subject}:memory.events.oom_kill"), 1);
        }
        self.counts("work:memory.events.oom", 1);
        self.counts("work:memory.events.local.oom", 1);
        self.counts("host:oom_kill", 1);
    }

    /// The judge's words on it.
    pub(crate) fn judged(mut self) -> Judgement {
        self.record.events.sort_by_key(|stamped| stamped.at_us);
        judge(&self.record)
    }
}

/// 0 until the climb begins, then 256 MiB a second up to 512 MiB.
pub(crate) fn climb(at_us: u64) -> u64 {
    at_us.saturating_sub(3_000_000).min(2_000_000) * 512 * MIB / 2_000_000
}

/// A unit with a life of its own.
pub(crate) fn running(sub: &str, result: &str) -> UnitState {
    // As a record of any age spells it: what it does not know is absent.
    serde_json::from_value(serde_json::json!({
        "active": if sub == "running" { "active" } else { "failed" },
        "sub": sub,
        "result": result,
        "invocation_id": "83ce018386514abd8f5661e4dc2c449f",
        "main_pid": 185,
        "n_restarts": 0,
    }))
    .expect("a state")
}

/// The finding with this id.
pub(crate) fn finding<'a>(judgement: &'a Judgement, id: &str) -> &'a Finding {
    judgement.finding(id).unwrap_or_else(|| panic!("no finding {id}: {judgement:#?}"))
}

/// The verdict of the finding with this id.
pub(crate) fn verdict_of(judgement: &Judgement, id: &str) -> Verdict {
    finding(judgement, id).verdict
}

/// How the hog ended.
pub(crate) fn hog(judgement: &Judgement) -> &Kill {
    judgement.kills.iter().find(|kill| kill.actor.as_deref() == Some("hog")).expect("the hog ended")
}

/// What a witness of a kill does.
pub(crate) fn agreement(kill: &Kill, name: &str) -> Option<Agreement> {
    kill.witnesses.iter().find(|witness| witness.name == name).map(|witness| witness.agrees)
}
