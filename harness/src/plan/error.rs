//! Why a scenario does not resolve on a machine.

use crate::cgroupfs::InvalidCgroupPath;
use crate::notation::Malformed;

/// Why a scenario does not resolve on a machine.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The machine's memory is not known.
    #[error("MemTotal of this machine could not be read, so nothing relative to it can be planned")]
    NoMemory,
    /// A size is relative to a limit that is infinite or not declared.
    #[error("{limit} is not a finite limit in the scenario as written, so nothing can be a share of it")]
    NoLimit {
        /// `CGROUP.Property`.
        limit: String,
    },
    /// An actor names a cgroup that is not declared.
    #[error("actor {actor} is in cgroup {cgroup}, which is not declared")]
    NoCgroup {
        /// The name.
        cgroup: String,
        /// The actor.
        actor: String,
    },
    /// A claim names a cgroup that is not declared.
    #[error("a claim names cgroup {cgroup}, which is not declared")]
    NotDeclared {
        /// The name.
        cgroup: String,
    },
    /// Cgroups hang in one another in a circle.
    #[error("cgroup {cgroup} is nested in itself")]
    Loop {
        /// One of them.
        cgroup: String,
    },
    /// A unit's name is no slice's.
    #[error("{unit} is not a slice")]
    NoSlice {
        /// Its name.
        unit: String,
        /// Why.
        #[source]
        source: InvalidCgroupPath,
    },
    /// A unit's name would not be one.
    #[error("{unit} is not a valid unit name: give its cgroup and actor shorter ids")]
    NoName {
        /// The name.
        unit: String,
        /// Why.
        #[source]
        source: Malformed,
    },
    /// This systemd does not know a property.
    #[error(
        "{property} needs systemd {since}, this machine runs {version}: add `systemd = {since}` to [requires]"
    )]
    TooOld {
        /// The property.
        property: String,
        /// Its first version.
        since: u32,
        /// The machine's version.
        version: u32,
    },
    /// A metric cannot be used where the scenario uses it.
    #[error("{metric}: {why}")]
    Metric {
        /// Its name.
        metric: String,
        /// What is wrong.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::host::HostFacts;
    use crate::plan::plan;
    use crate::scenario::Scenario;
    use crate::scenario::cgroup::{Parent, Place};
    use crate::scenario::expectation::{BoundValue, Claim, EarlierPhase, OomdClaim, ShareOfPhase, Trigger};

    const SCENARIO: &str = r#"
schema = 1
title = "t"
source = "t"
safety = "pressure"
deadline = "60s"
[cgroup.work]
MemoryMax = "512M"
ManagedOOMPreference = "omit"
[cgroup.deep]
in = "work"
MemoryMax = "infinity"
[[actor]]
id = "hog"
kind = "balloon"
in = "work"
size = { percent = 120, of = "work.MemoryMax" }
text = "pinned"
[reached]
metric = "work:memory.peak"
min = { percent = 95, of = "work.MemoryMax" }
within = "30s"
[[expect]]
id = "e"
only-victims = []
"#;

    fn machine() -> HostFacts {
        HostFacts { memory_total: Some(2 << 30), ..HostFacts::default() }
    }

    fn error(edit: impl FnOnce(&mut Scenario), host: &HostFacts, run: &str) -> String {
        let mut scenario = Scenario::parse("x.toml", SCENARIO).expect("a scenario");
        edit(&mut scenario);
        plan(&scenario, host, run).expect_err("no plan").to_string()
    }

    #[rstest]
    #[case::a_limit_that_is_infinite(|s: &mut Scenario| s.base_limits[0].limit = "infinity".parse().expect("a limit"), "work.MemoryMax is not a finite limit")]
    #[case::a_cgroup_that_is_not_declared(|s: &mut Scenario| s.actors[0].place = Place::Cgroup("gone".parse().expect("an id")), "actor hog is in cgroup gone")]
    #[case::a_claim_about_a_cgroup_that_is_not_declared(
        |s: &mut Scenario| s.expects[0].claim = Claim::Oomd(OomdClaim { watches: "gone".parse().expect("an id"), trigger: Trigger::Swap }),
        "a claim names cgroup gone, which is not declared"
    )]
    #[case::cgroups_in_a_circle(|s: &mut Scenario| s.cgroups[0].parent = Parent::Cgroup("deep".parse().expect("an id")), "cgroup work is nested in itself")]
    #[case::a_slice_that_can_be_none(|s: &mut Scenario| s.actors[0].place = Place::Slice("a--b.slice".parse().expect("a unit")), "a--b.slice is not a slice")]
    #[case::a_metric_that_is_relative(
        |s: &mut Scenario| s.reached.bound.value = BoundValue::Phase(ShareOfPhase { percent: "50%".parse().expect("a share"), of_phase: EarlierPhase::Baseline }),
        "work:memory.peak: the stress cannot be relative"
    )]
    fn what_does_not_resolve_says_why(#[case] edit: fn(&mut Scenario), #[case] words: &str) {
        let said = error(edit, &machine(), "r5n17otgu92");
        assert!(said.starts_with(words), "{said}");
    }

    #[test]
    fn a_machine_without_a_size_has_no_plan() {
        assert!(error(|_| {}, &HostFacts::default(), "r5n17otgu92").starts_with("MemTotal"));
    }

    #[test]
    fn a_systemd_that_is_too_old_is_told_with_the_version_it_needs() {
        let old = HostFacts { systemd_version: Some(247), ..machine() };
        let said = error(|_| {}, &old, "r5n17otgu92");
        assert!(said.starts_with("ManagedOOMPreference needs systemd 248, this machine runs 247"), "{said}");
    }

    /// systemd takes names of up to 255 bytes.
    #[test]
    fn a_name_that_systemd_would_not_take_is_refused() {
        let said = error(|_| {}, &machine(), &"r".repeat(250));
        assert!(said.starts_with("bulkhead-r") && said.contains(" is not a valid unit name"), "{said}");
    }
}
