//! One lie at a time: changes to a record of a real run after which the truth about it is known.
//!
//! They work on the record as it is read, not on its bytes, so that they follow its format.

use harness::kmsg::oom::{Constraint, OomEvent, Scope};
use harness::plan::PlannedDaemon;
use harness::record::event::{ActorEnd, AnswerResult, EndReason, Mark, UnitState, When};
use harness::record::{Event, Record, Stamped};
use reports::outcome::Killer;

/// A record of a real run, to be lied about.
pub(crate) struct Tale {
    pub(crate) record: Record,
}

impl Tale {
    pub(crate) fn mark(&self, wanted: Mark) -> u64 {
        let mut marks = self.record.events.iter();
        let at = marks.find_map(|stamped| match stamped.event {
            Event::Phase { phase } if phase == wanted => Some(stamped.at_us),
            _ => None,
        });
        at.unwrap_or_else(|| panic!("the record has no {wanted:?}"))
    }

    pub(crate) fn pid(&self, id: &str) -> u32 {
        let mut events = self.record.events.iter();
        let pid = events.find_map(|stamped| match &stamped.event {
            Event::ActorPlaced { actor, pid, .. } if actor == id => Some(*pid),
            _ => None,
        });
        pid.unwrap_or_else(|| panic!("{id} was never placed"))
    }

    pub(crate) fn cgroup(&self, id: &str) -> String {
        self.plan().actors.iter().find(|actor| actor.id == id).expect("an actor").cgroup.path().to_string()
    }

    pub(crate) fn unit_of(&self, id: &str) -> String {
        self.plan().actors.iter().find(|actor| actor.id == id).expect("an actor").unit.to_string()
    }

    /// The path of a sampled cgroup.
    pub(crate) fn path(&self, subject: &str) -> String {
        let mut watched = self.plan().watched.iter();
        watched.find(|watched| *watched.subject == *subject).expect("a watched cgroup").cgroup.to_string()
    }

    pub(crate) fn plan(&self) -> &harness::plan::Plan {
        self.record.head.plan.as_ref().expect("a plan")
    }

    pub(crate) fn plan_mut(&mut self) -> &mut harness::plan::Plan {
        self.record.head.plan.as_mut().expect("a plan")
    }

    /// The machine runs this killer, too.
    pub(crate) fn follows(&mut self, killer: Killer) {
        let unit = harness::killer::daemon(killer).expect("a daemon").unit.parse().expect("a unit");
        self.plan_mut().daemons.push(PlannedDaemon { killer, unit, start: None });
    }

    /// When an actor was seen to have ended.
    pub(crate) fn death(&self, id: &str) -> u64 {
        let mut events = self.record.events.iter();
        let at = events.find_map(|stamped| match &stamped.event {
            Event::ActorEnded { actor, .. } if actor == id => Some(stamped.at_us),
            _ => None,
        });
        at.unwrap_or_else(|| panic!("{id} never ended"))
    }

    /// Puts an event where its time belongs.
    pub(crate) fn add(&mut self, at_us: u64, event: Event) {
        let at = self.record.events.partition_point(|stamped| stamped.at_us <= at_us);
        self.record.events.insert(at, Stamped { at_us, event });
    }

    pub(crate) fn drop(&mut self, is: impl Fn(&Stamped) -> bool) {
        let before = self.record.events.len();
        self.record.events.retain(|stamped| !is(stamped));
        assert!(self.record.events.len() < before, "nothing was taken away: the lie is none");
    }

    /// Changes every event that `change` knows.
    pub(crate) fn change(&mut self, mut change: impl FnMut(u64, &mut Event) -> bool) {
        let mut changed = false;
        for stamped in &mut self.record.events {
            changed |= change(stamped.at_us, &mut stamped.event);
        }
        assert!(changed, "nothing was changed: the lie is none");
    }

    /// An actor was seen in this cgroup, and in no other.
    pub(crate) fn was_seen_in(&mut self, id: &str, path: &str) {
        self.change(|_, event| match event {
            Event::ActorPlaced { actor, cgroup, .. } if actor == id => {
                path.clone_into(cgroup);
                true
            }
            _ => false,
        });
    }

    /// Takes away every word of the kernel about kills.
    pub(crate) fn silence_the_kernel(&mut self) {
        self.drop(|stamped| matches!(stamped.event, Event::KernelOom { .. }));
    }

    /// `oom-kill:…` and `Killed process …`.
    pub(crate) fn kernel_kills(
        &mut self,
        at_us: u64,
        limit: Option<&str>,
        cgroup: &str,
        pid: u32,
        comm: &str,
    ) {
        let summary = OomEvent::Summary {
            constraint: if limit.is_some() { Constraint::Memcg } else { Constraint::None },
            oom_memcg: limit.map(|path| path.parse().expect("a path")),
            global: limit.is_none(),
            task_memcg: cgroup.parse().expect("a path"),
            task: comm.into(),
            pid,
            uid: 0,
        };
        let scope = if limit.is_some() { Scope::Memcg } else { Scope::Global };
        self.kernel_says(at_us, summary);
        self.kernel_logs_kill(at_us + 1, scope, pid, comm);
    }

    pub(crate) fn kernel_logs_kill(&mut self, at_us: u64, scope: Scope, pid: u32, comm: &str) {
        let killed = OomEvent::Killed {
            scope,
            pid,
            comm: comm.into(),
            total_vm_kb: 9_000,
            anon_kb: 8_000,
            file_kb: 0,
            shmem_kb: 0,
            uid: 0,
            oom_score_adj: 0,
        };
        self.kernel_says(at_us, killed);
    }

    pub(crate) fn kernel_says(&mut self, at_us: u64, oom: OomEvent) {
        self.add(at_us, Event::KernelOom { seq: 100_000 + at_us, logged_us: Some(at_us), oom });
    }

    /// Nothing but the signal is left of an actor's kill: no word of the kernel, no counter, no result of its unit.
    pub(crate) fn was_killed_by_hand(&mut self, id: &str) {
        self.silence_the_kernel();
        for subject in ["work", "run"] {
            for counter in ["oom", "oom_kill", "local.oom", "local.oom_kill"] {
                let name = format!("{subject}:memory.events.{counter}");
                if self.record.samples.series(&name).any(|(_, value)| value > 0) {
                    self.column(&name, |_, value| value.map(|_| 0));
                }
            }
        }
        self.column("host:oom_kill", |_, value| value.map(|_| 0));
        let unit = self.unit_of(id);
        self.unit_after(&unit, |state| state.result = Some("signal".into()));
    }

    /// Nobody kills an actor: it lives when the time is up.
    pub(crate) fn outlives_the_run(&mut self, id: &str) {
        self.was_killed_by_hand(id);
        let unit = self.unit_of(id);
        self.unit_after(&unit, |state| {
            (state.active, state.sub, state.result) =
                ("active".into(), "running".into(), Some("success".into()));
        });
        self.vanishes(id);
        let (pid, settled) = (self.pid(id), self.mark(Mark::Settle));
        self.add(settled + 1, Event::ActorAlive { actor: id.into(), pid, state: Some('R') });
        self.change(|_, event| match event {
            Event::Ended { reason } => {
                *reason = EndReason::ObserveElapsed;
                true
            }
            _ => false,
        });
    }

    /// Lets an actor end, or end in another way.
    pub(crate) fn ends(&mut self, id: &str, at_us: u64, end: ActorEnd) {
        self.record.events.retain(|stamped| {
            !matches!(&stamped.event, Event::ActorAlive { actor, .. } | Event::ActorEnded { actor, .. } if actor == id)
        });
        self.add(at_us, Event::ActorEnded { actor: id.into(), end });
    }

    /// Nobody saw what became of an actor.
    pub(crate) fn vanishes(&mut self, id: &str) {
        self.drop(|stamped| {
            matches!(&stamped.event, Event::ActorAlive { actor, .. } | Event::ActorEnded { actor, .. } if actor == id)
        });
    }

    /// What systemd says of a unit afterwards.
    pub(crate) fn unit_after(&mut self, name: &str, change: impl Fn(&mut UnitState)) {
        self.change(|_, event| match event {
            Event::Unit { unit, when: When::After, state: Some(state) } if unit == name => {
                change(state);
                true
            }
            _ => false,
        });
    }

    /// Changes the answers that `is` picks by when they ended; none takes one away.
    pub(crate) fn answers(&mut self, is: impl Fn(u64) -> bool, result: Option<&AnswerResult>) {
        let Some(result) = result else {
            return self.drop(|stamped| matches!(stamped.event, Event::Answer { .. }) && is(stamped.at_us));
        };
        self.change(|at, event| match event {
            Event::Answer { result: old, .. } if is(at) => {
                *old = result.clone();
                true
            }
            _ => false,
        });
    }

    /// What a column held at a time.
    pub(crate) fn value_at(&self, name: &str, at_us: u64) -> u64 {
        let before = self.record.samples.series(name).filter(|(at, _)| *at <= at_us).last();
        before.unwrap_or_else(|| panic!("{name} was not read by {at_us}")).1
    }

    /// Changes what a column holds, row by row.
    pub(crate) fn column(&mut self, name: &str, value: impl Fn(u64, Option<u64>) -> Option<u64>) {
        let samples = &mut self.record.samples;
        let column = samples.column(name).unwrap_or_else(|| panic!("no column {name}"));
        let width = samples.columns.len();
        let mut changed = false;
        for (row, at) in samples.at_us.iter().enumerate() {
            let cell = &mut samples.values[row * width + column];
            let new = value(*at, *cell);
            changed |= new != *cell;
            *cell = new;
        }
        assert!(changed, "{name} holds what it held: the lie is none");
    }

    /// Keeps the rows that `keeps` picks.
    pub(crate) fn rows(&mut self, keeps: impl Fn(u64) -> bool) {
        let samples = &mut self.record.samples;
        let width = samples.columns.len();
        let kept: Vec<usize> = (0..samples.at_us.len()).filter(|row| keeps(samples.at_us[*row])).collect();
        assert!(kept.len() < samples.at_us.len(), "no row was taken away: the lie is none");
        samples.values =
            kept.iter().flat_map(|row| samples.values[row * width..(row + 1) * width].to_vec()).collect();
        samples.at_us = kept.iter().map(|row| samples.at_us[*row]).collect();
    }

    /// From this moment on, an actor does nothing: its counters stand still.
    pub(crate) fn freeze(&mut self, id: &str, from_us: u64) {
        for counter in ["wakeups", "steps"] {
            let name = format!("{id}:{counter}");
            let last = self.record.samples.series(&name).filter(|(at, _)| *at <= from_us).last();
            let last = last.map(|(_, value)| value);
            if last.is_some() && self.record.samples.series(&name).last().map(|(_, value)| value) != last {
                self.column(&name, |at, value| if at > from_us { last } else { value });
            }
        }
    }

    /// A counter that goes up by so much at a moment, on top of what it counted.
    pub(crate) fn counts(&mut self, name: &str, from_us: u64, more: u64) {
        self.column(name, |at, value| Some(value? + if at >= from_us { more } else { 0 }));
    }
}
