//! Every name that a scenario mentions must be one that it declares, and every name is declared once.

use super::Scenario;
use super::actor::Actor;
use super::cgroup::{Parent, Place};
use super::expectation::{BoundValue, Expectation, Mention, RUN, is_built_in};
use super::killer::OwnTable;
use super::size::{LimitRef, SizeExpr};
use crate::metric::{Metric, Subject};
use crate::notation::suggest::nearest;
use crate::reading::diagnostic::Diagnostic;
use crate::reading::places::{Step, join};
use crate::reading::rule::{DUPLICATE_NAME, RESERVED_NAME, Rule, UNKNOWN_NAME, rules};

mod twin;

rules! {
    Error CGROUP_CYCLE = "cgroup-cycle",
        "Following `in` from this cgroup leads back to it. Cgroups are a tree. Let one of them hang in the run itself \
        (without `in`) or in a slice of the machine.";
    Error METRIC_OF_ANOTHER_SUBJECT = "metric-of-another-subject",
        "The name before the colon is an actor where the metric is one of cgroups, or the other way round. What is \
        charged is read from the files of a cgroup, progress from the status page of an actor. Name the cgroup that \
        the actor runs in, or take a metric of actors; `bulkhead explain` says which is which.";
}

/// The rules of names.
pub(super) fn rules() -> impl Iterator<Item = &'static [&'static Rule]> {
    [RULES, twin::RULES].into_iter()
}

/// What `--twins` takes besides the name of a twin.
const SELECTIONS: [&str; 3] = ["all", "none", "only"];

/// The names that do not resolve, in file order.
pub(super) fn check(scenario: &Scenario) -> Vec<Diagnostic> {
    let mut names = Names {
        scenario,
        cgroups: scenario.cgroups.iter().map(|cgroup| &*cgroup.id).collect(),
        actors: scenario.actors.iter().map(|actor| &*actor.id).collect(),
        added: scenario.twins.iter().flat_map(|twin| &twin.added).map(|actor| &*actor.id).collect(),
        problems: Vec::new(),
    };
    names.duplicates();
    names.cgroups();
    for (index, actor) in scenario.actors.iter().enumerate() {
        names.actor(actor, &["actor".into(), index.into()]);
    }
    names.reached();
    names.expectations();
    for (index, twin) in scenario.twins.iter().enumerate() {
        names.twin(twin, index);
    }
    let mut problems = names.problems;
    problems.sort_by_key(|problem| problem.span.start);
    problems
}

struct Names<'s> {
    scenario: &'s Scenario,
    cgroups: Vec<&'s str>,
    actors: Vec<&'s str>,
    /// What an expectation may speak of although only a twin has it.
    added: Vec<&'s str>,
    problems: Vec<Diagnostic>,
}

impl<'s> Names<'s> {
    fn report(&mut self, rule: &'static Rule, path: &[Step<'_>], message: String) -> &mut Diagnostic {
        let span = self.scenario.file.at(path);
        self.problems.push(Diagnostic::new(rule, &self.scenario.file, span, message));
        self.problems.last_mut().expect("one was just pushed")
    }

    /// Reports `name` unless it is among `known`.
    fn known(&mut self, what: &str, name: &str, known: &[&str], path: &[Step<'_>]) {
        if known.contains(&name) {
            return;
        }
        let span = self.scenario.file.at(path);
        let near = nearest(name, known.iter().copied());
        let message = format!("there is no {what} `{name}` in this scenario");
        let mut problem =
            Diagnostic::new(UNKNOWN_NAME, &self.scenario.file, span, message).did_you_mean(near, true);
        if problem.replacement.is_none() && !known.is_empty() {
            problem = problem.help(format!("declared: {}", known.join(", ")));
        }
        self.problems.push(problem);
    }

    fn unique(&mut self, what: &str, ids: &[&str], table: &'static str) {
        for (index, id) in ids.iter().enumerate() {
            if let Some(first) = ids[..index].iter().position(|other| other == id) {
                let first = self.scenario.file.at(&[table.into(), first.into(), "id".into()]);
                let problem = self.report(
                    DUPLICATE_NAME,
                    &[table.into(), index.into(), "id".into()],
                    format!("two {what} are called `{id}`"),
                );
                problem.related.push((first, "the first one".to_owned()));
            }
        }
    }

    fn duplicates(&mut self) {
        let actors = self.actors.clone();
        self.unique("actors", &actors, "actor");
        let expects: Vec<_> = self.scenario.expects.iter().map(|expect| &*expect.id).collect();
        self.unique("expectations", &expects, "expect");
        let twins: Vec<_> = self.scenario.twins.iter().map(|twin| &*twin.id).collect();
        self.unique("twins", &twins, "twin");
        for (index, id) in twins.into_iter().enumerate().filter(|(_, id)| SELECTIONS.contains(id)) {
            let message = format!("`--twins {id}` means something else: choose another name");
            self.report(RESERVED_NAME, &["twin".into(), index.into(), "id".into()], message);
        }
        for (index, actor) in actors.into_iter().enumerate() {
            let path = ["actor".into(), index.into(), "id".into()];
            if self.cgroups.contains(&actor) {
                self.report(
                    DUPLICATE_NAME,
                    &path,
                    format!("an actor and a cgroup are both called `{actor}`: metrics need one meaning"),
                );
            }
            self.reserved_actor(actor, &path);
        }
    }

    fn reserved_actor(&mut self, id: &str, path: &[Step<'_>]) {
        if matches!(id, "host" | "protect" | RUN) {
            self.report(
                RESERVED_NAME,
                path,
                format!("`{id}` means something else in metrics: choose another name"),
            );
        }
        if OwnTable::named(id).is_some() {
            self.report(
                RESERVED_NAME,
                path,
                format!("`{id}` means the [{id}] of a scenario: choose another name"),
            );
        }
    }

    fn cgroups(&mut self) {
        let known = self.cgroups.clone();
        for cgroup in &self.scenario.cgroups {
            let path = ["cgroup".into(), (&*cgroup.id).into(), "in".into()];
            if let Parent::Cgroup(parent) = &cgroup.parent {
                self.known("cgroup", parent, &known, &path);
                if self.hangs_in_itself(&cgroup.id) {
                    self.report(CGROUP_CYCLE, &path, format!("cgroup `{}` is inside itself", cgroup.id));
                }
            }
        }
    }

    fn hangs_in_itself(&self, id: &str) -> bool {
        let mut at = id;
        for _ in &self.scenario.cgroups {
            match self.scenario.cgroup(at).map(|cgroup| &cgroup.parent) {
                Some(Parent::Cgroup(parent)) if *parent == *id => return true,
                Some(Parent::Cgroup(parent)) => at = parent,
                _ => return false,
            }
        }
        false
    }

    fn actor(&mut self, actor: &Actor, path: &[Step<'_>]) {
        if let Place::Cgroup(cgroup) = &actor.place {
            let known = self.cgroups.clone();
            let before = self.problems.len();
            self.known("cgroup", cgroup, &known, &join(path, &["in".into()]));
            if self.problems.len() > before {
                let help = "an actor runs in a [cgroup.NAME] of this file or in a slice such as system.slice";
                self.problems[before].help.insert(0, help.to_owned());
            }
        }
        if let Some(balloon) = actor.balloon() {
            self.size(&balloon.size, &join(path, &["size".into()]));
            if let Some(low) = &balloon.low {
                self.size(low, &join(path, &["low".into()]));
            }
        }
    }

    fn size(&mut self, size: &SizeExpr, path: &[Step<'_>]) {
        if let SizeExpr::Limit(share) = size {
            self.limit(&share.of, &join(path, &["of".into()]));
        }
    }

    /// A limit must be declared, or a relative size has nothing to be relative to.
    fn limit(&mut self, name: &LimitRef, path: &[Step<'_>]) {
        if self.scenario.base_limit(name).is_some() {
            return;
        }
        let declared: Vec<_> = self.scenario.base_limits.iter().map(|base| base.name.to_string()).collect();
        let declared: Vec<_> = declared.iter().map(String::as_str).collect();
        self.known("declared limit", &name.to_string(), &declared, path);
    }

    fn metric(&mut self, metric: &Metric, path: &[Step<'_>]) {
        let (subject, what, known) = match &metric.subject {
            Subject::Host => return,
            Subject::Protect => return self.probe(metric, path),
            Subject::Cgroup(id) => (id, "cgroup", self.cgroups.clone()),
            Subject::Actor(id) => (id, "actor", self.mentioned()),
        };
        if known.contains(&&**subject) {
            return;
        }
        let other = if what == "cgroup" { &self.actors } else { &self.cgroups };
        if other.contains(&&**subject) {
            let name = metric.name();
            self.report(
                METRIC_OF_ANOTHER_SUBJECT,
                path,
                format!("`{name}` is a metric of {}, and `{subject}` is not one", metric.info.subject),
            );
            return;
        }
        let before = self.problems.len();
        self.known(what, subject, &known, path);
        if let Some(problem) = self.problems.get_mut(before)
            && let Some(near) = nearest(subject, known)
        {
            problem.help = vec![format!("did you mean `{near}:{}`?", metric.name())];
            problem.replacement = Some(format!("\"{near}:{}\"", metric.name()));
        }
    }

    fn probe(&mut self, metric: &Metric, path: &[Step<'_>]) {
        let probes = self.scenario.protect.answer.len();
        if metric.probe > probes {
            let problem = self.report(
                UNKNOWN_NAME,
                path,
                format!("there is no probe {} in [protect] answer", metric.probe),
            );
            problem.help.push(format!("probes are counted from 1; there are {probes}"));
        }
    }

    fn reached(&mut self) {
        let reached = &self.scenario.reached;
        self.metric(&reached.metric, &["reached".into(), "metric".into()]);
        if let BoundValue::Limit(share) = &reached.bound.value {
            let key = reached.bound.kind.to_string();
            self.limit(&share.of, &["reached".into(), key.as_str().into(), "of".into()]);
        }
    }

    fn expectations(&mut self) {
        for (index, expect) in self.scenario.expects.iter().enumerate() {
            self.expectation(expect, &["expect".into(), index.into()]);
        }
    }

    /// The actors that a metric or a list may name; a single victim or hog must be there without a twin.
    fn mentioned(&self) -> Vec<&'s str> {
        self.actors.iter().chain(&self.added).copied().collect()
    }

    fn expectation(&mut self, expect: &Expectation, path: &[Step<'_>]) {
        if is_built_in(&expect.id) {
            let message = format!("`{}` is an expectation that every scenario has by itself", expect.id);
            self.report(RESERVED_NAME, &join(path, &["id".into()]), message);
        }
        for (place, mention) in expect.claim.mentions() {
            self.mention(&mention, &join(path, &place));
        }
    }

    fn mention(&mut self, mention: &Mention<'_>, path: &[Step<'_>]) {
        match mention {
            Mention::Actor(id) => self.known("actor", id, &self.actors.clone(), path),
            Mention::AnyActor(id) => self.known("actor", id, &self.mentioned(), path),
            Mention::Cgroup(id) => self.known("cgroup", id, &self.cgroups.clone(), path),
            Mention::Cap(id) => self.known("cgroup", id, &[self.cgroups.as_slice(), &[RUN]].concat(), path),
            Mention::Limit(limit) => self.limit(limit, path),
            Mention::Metric(metric) => self.metric(metric, path),
        }
    }
}
