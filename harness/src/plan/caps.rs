//! What a run may take: the most that each actor needs, and from it the caps of the harness's own. Pure.
//!
//! A cap lies above what the declared caps inside it allow, so that a working one is always hit first, and below what the
//! balloons want, so that a broken one is caught. Every sum saturates: what is too large is refused, never wrapped.

use std::ops::Add;

use crate::notation::bytes::Bytes;
use crate::property::{PropertyName, whole_pages};
use crate::scenario::Scenario;
use crate::scenario::actor::{Actor, Role};
use crate::scenario::cgroup::{Parent, Place};

/// What the harness's own cap leaves above the declared caps.
const OUTER_PERCENT: u64 = 105;
/// What a bystander with nothing large to do may use, bytes.
const BYSTANDER: u64 = 16 << 20;
/// What its program may use of that for itself.
const PROGRAM: u64 = 8 << 20;
/// What a balloon's program needs beside what it holds, bytes.
const BALLOON: u64 = 4 << 20;
/// One more process of an actor, with its page tables and kernel stack.
const PROCESS: u64 = 1 << 20;
/// One more thread.
const THREAD: u64 = 64 << 10;
/// The least cap there is.
const PAGE: u64 = 4096;
/// What a fresh login over ssh takes at both its ends: processes that no unit of the run holds.
pub(super) const LOGIN: u64 = 16 << 20;

/// The most that actors take, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    /// What balloons hold, of whatever kind of memory.
    stress: u64,
    /// What the balloons' own programs need beside it.
    programs: u64,
    /// What everybody else needs.
    beside: u64,
}

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            stress: self.stress.saturating_add(other.stress),
            programs: self.programs.saturating_add(other.programs),
            beside: self.beside.saturating_add(other.beside),
        }
    }
}

impl Load {
    fn cap(self) -> u64 {
        let with_margin = (self.stress / 100).saturating_mul(OUTER_PERCENT);
        let least = self.stress.saturating_add(self.programs);
        // systemd takes no cap of 0: a slice that nothing hangs in gets a page.
        whole_pages(with_margin.max(least).saturating_add(self.beside)).max(PAGE)
    }
}

/// The sizes of a scenario on a machine.
pub(super) struct Caps<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) memory: Bytes,
    /// What each actor holds in all, bytes; none for bystanders. In the order of the file.
    pub(super) totals: &'a [Option<u64>],
}

impl Caps<'_> {
    /// The cap around everything that hangs in `parent`: the slice of the run, or one that the harness puts below a slice
    /// of the machine.
    pub(super) fn around(&self, parent: &Parent) -> u64 {
        let own = |actor: &&(&Actor, Load)| *parent == Parent::Run && in_cgroup(actor.0, "run");
        let actors = self.actors();
        let direct = actors.iter().filter(own).map(|(_, load)| *load);
        let inside = self.children(parent).map(|id| self.within(id, &actors));
        direct.chain(inside).fold(Load::default(), Add::add).cap()
    }

    /// The cap of an actor's own scope, where no cap of the harness's own lies around it.
    pub(super) fn alone(&self, actor: &Actor, total: Option<u64>) -> u64 {
        let load = self.load(actor, total);
        // A balloon's program may use what a bystander may.
        let programs = if total.is_some() { load.programs.saturating_add(BYSTANDER - BALLOON) } else { 0 };
        Load { programs, ..load }.cap()
    }

    fn actors(&self) -> Vec<(&Actor, Load)> {
        let actors = self.scenario.actors.iter().zip(self.totals);
        actors.map(|(actor, total)| (actor, self.load(actor, *total))).collect()
    }

    fn children<'b>(&'b self, parent: &'b Parent) -> impl Iterator<Item = &'b str> {
        self.scenario.cgroups.iter().filter(|cgroup| cgroup.parent == *parent).map(|cgroup| &*cgroup.id)
    }

    /// What is in a declared cgroup and below it, as far as the caps let it. Limits as written: a twin that removes one is
    /// exactly what the harness's own cap is for.
    fn within(&self, id: &str, actors: &[(&Actor, Load)]) -> Load {
        let direct = actors.iter().filter(|(actor, _)| in_cgroup(actor, id)).map(|(_, load)| *load);
        let cgroups = self.scenario.cgroups.iter();
        let below = cgroups
            .filter(|cgroup| matches!(&cgroup.parent, Parent::Cgroup(parent) if **parent == *id))
            .map(|cgroup| self.within(&cgroup.id, actors));
        let load = direct.chain(below).fold(Load::default(), Add::add);
        let limits = self.scenario.base_limits.iter();
        let limit = limits
            .filter(|base| *base.name.cgroup == *id && base.name.property == PropertyName::MemoryMax)
            .find_map(|base| base.limit.resolve(self.memory));
        Load { stress: limit.map_or(load.stress, |limit| load.stress.min(limit.0)), ..load }
    }

    /// The most that an actor takes when nothing stops it.
    fn load(&self, actor: &Actor, total: Option<u64>) -> Load {
        if let Role::Balloon(balloon) = &actor.role {
            let more = u64::from(balloon.processes).saturating_sub(1);
            return Load {
                stress: total.unwrap_or(0).saturating_add(balloon.grows_by(self.scenario.observe)),
                programs: BALLOON.saturating_add(more.saturating_mul(PROCESS)),
                beside: 0,
            };
        }
        let takes = actor.role.settings().takes();
        let processes = u64::from(takes.processes).saturating_mul(PROCESS);
        let threads = u64::from(takes.threads).saturating_mul(THREAD);
        let extra = takes.bytes.saturating_add(processes).saturating_add(threads);
        Load { beside: PROGRAM.saturating_add(extra).max(BYSTANDER), ..Load::default() }
    }
}

fn in_cgroup(actor: &Actor, id: &str) -> bool {
    matches!(&actor.place, Place::Cgroup(name) if **name == *id)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::host::HostFacts;
    use crate::plan::{Plan, plan};
    use crate::property::PropertyName;
    use crate::scenario::Scenario;

    const MIB: u64 = 1 << 20;
    const RUN: &str = "r5n17otgu92";

    fn machine() -> HostFacts {
        HostFacts { memory_total: Some(8 << 30), ..HostFacts::default() }
    }

    fn planned(safety: &str, body: &str) -> Plan {
        let text = format!(
            "schema = 1\ntitle = \"t\"\nsource = \"t\"\nsafety = \"{safety}\"\ndeadline = \"60s\"\nobserve = \"10s\"\n\
             baseline = \"1s\"\n{body}\n[reached]\nmetric = \"host:memory.available\"\nmin = \"1M\"\nwithin = \"5s\"\n\
             [[expect]]\nid = \"e\"\nonly-victims = []\n"
        );
        let scenario = Scenario::parse("x.toml", &text).unwrap_or_else(|invalid| panic!("{invalid}"));
        plan(&scenario, &machine(), RUN).expect("a plan")
    }

    /// An actor's table.
    fn actor(id: &str, place: &str, rest: &str) -> String {
        format!("[[actor]]\nid = \"{id}\"\nin = \"{place}\"\n{rest}\n")
    }

    fn balloon(id: &str, place: &str, size: &str) -> String {
        actor(id, place, &format!("kind = \"balloon\"\nsize = \"{size}\"\ntext = \"pinned\""))
    }

    fn beat(id: &str, place: &str, touch: &str) -> String {
        actor(id, place, &format!("kind = \"heartbeat\"\nevery = \"20ms\"\ntouch = \"{touch}\""))
    }

    /// 5 % above the stress, and 16 MiB for each bystander.
    #[rstest]
    #[case::what_a_cap_allows("[cgroup.w]\nMemoryMax = \"200M\"", balloon("b", "w", "300M"), 210)]
    #[case::what_the_balloons_want("[cgroup.w]\nMemoryMax = \"200M\"", balloon("b", "w", "100M"), 105)]
    #[case::a_soft_cap_is_none("[cgroup.w]\nMemoryHigh = \"50M\"", balloon("b", "w", "100M"), 105)]
    #[case::a_small_balloon_has_room_for_its_program("[cgroup.w]", balloon("b", "w", "10M"), 14)]
    #[case::a_cap_that_is_nested(
        "[cgroup.w]\n[cgroup.v]\nin = \"w\"\nMemoryMax = \"200M\"",
        balloon("b", "v", "300M"),
        210
    )]
    #[case::the_tightest_of_nested_caps(
        "[cgroup.w]\nMemoryMax = \"100M\"\n[cgroup.v]\nin = \"w\"\nMemoryMax = \"200M\"",
        balloon("b", "v", "300M"),
        105
    )]
    #[case::two_balloons_of_one_cap(
        "[cgroup.w]\nMemoryMax = \"200M\"",
        balloon("a", "w", "150M") + &balloon("b", "w", "150M"),
        210
    )]
    #[case::caps_side_by_side(
        "[cgroup.v]\nMemoryMax = \"100M\"\n[cgroup.w]\nMemoryMax = \"100M\"",
        balloon("a", "v", "150M") + &balloon("b", "w", "150M"),
        210
    )]
    #[case::several_bystanders("[cgroup.w]", beat("a", "w", "4K") + &beat("b", "w", "4K"), 32)]
    #[case::a_bystander_that_touches_much("[cgroup.w]", beat("a", "w", "500M"), 508)]
    #[case::one_that_serves(
        "[cgroup.w]",
        actor("a", "w", "kind = \"tcp-server\"\nlisten = \"127.0.0.1:7\"\ntouch = \"100M\""),
        108
    )]
    #[case::page_cache_that_is_read(
        "[cgroup.w]",
        actor("a", "w", "kind = \"reader\"\nbytes = \"200M\""),
        208
    )]
    #[case::page_cache_that_is_written(
        "[cgroup.w]",
        actor("a", "w", "kind = \"writer\"\nbytes = \"200M\""),
        208
    )]
    #[case::children("[cgroup.w]", actor("a", "w", "kind = \"forker\"\nchildren = 100"), 108)]
    #[case::threads("[cgroup.w]", actor("a", "w", "kind = \"spinner\"\nthreads = 512"), 40)]
    #[case::a_balloon_of_shared_memory("[cgroup.w]", balloon("b", "w", "100M") + "memory = \"shmem\"\n", 105)]
    #[case::a_balloon_of_page_cache("[cgroup.w]", balloon("b", "w", "100M") + "memory = \"file\"\n", 105)]
    #[case::a_balloon_that_locks("[cgroup.w]", balloon("b", "w", "100M") + "mlock = true\n", 105)]
    #[case::a_balloon_of_many_processes("[cgroup.w]", balloon("b", "w", "100M") + "processes = 41\n", 144)]
    #[case::one_that_grows(
        "[cgroup.w]", balloon("b", "w", "100M") + "profile = \"grow\"\nrate = \"10M\"\n", 210
    )]
    #[case::one_that_grows_into_a_cap(
        "[cgroup.w]\nMemoryMax = \"200M\"", balloon("b", "w", "100M") + "profile = \"grow\"\n", 210
    )]
    fn the_cap_around_a_run_is_above_what_works_and_below_what_is_wanted(
        #[case] cgroups: &str,
        #[case] actors: String,
        #[case] mib: u64,
    ) {
        let plan = planned("contained", &format!("{cgroups}\n{actors}"));
        assert_eq!(plan.most_memory().map(|bytes| bytes / MIB), Some(mib));
        assert_eq!(plan.slice.cap(), plan.most_memory());
    }

    #[rstest]
    #[case::a_bystander(beat("a", "system.slice", "4K"), 16)]
    #[case::one_that_touches_much(beat("a", "system.slice", "500M"), 508)]
    #[case::two_of_them(beat("a", "system.slice", "4K") + &beat("b", "user.slice", "4K"), 32)]
    #[case::a_balloon(balloon("b", "system.slice", "100M"), 116)]
    #[case::a_large_balloon(balloon("b", "system.slice", "1000M"), 1050)]
    #[case::a_login(
        beat("a", "system.slice", "4K")
            + "[protect]\nanswer = [{ ssh-login = \"127.0.0.1:22\", within = \"2s\", every = \"1s\" }]\n", 32
    )]
    #[case::an_earlyoom(
        beat("a", "system.slice", "4K") + "[earlyoom]\ndry-run = false\nterm-memory = 10\nkill-memory = 5\nterm-swap = 100\nkill-swap = 100\nrelease = \"stress\"\n", 80
    )]
    fn what_runs_elsewhere_is_counted_too(#[case] body: String, #[case] mib: u64) {
        let plan = planned("pressure", &body);
        assert_eq!(plan.most_memory().map(|bytes| bytes / MIB), Some(mib));
        let own: Vec<_> = plan
            .actors
            .iter()
            .filter_map(|actor| actor.properties.iter().find(|p| p.name == PropertyName::MemoryMax))
            .collect();
        assert_eq!(own.len(), plan.actors.len(), "each is capped by its own scope");
    }

    #[test]
    fn what_is_declared_in_a_slice_of_the_machine_hangs_in_a_capped_one_of_the_harness() {
        let cgroups = "[cgroup.agents]\nin = \"workspace.slice\"\nMemoryMax = \"100M\"\n\
                       [cgroup.one]\nin = \"workspace.slice\"\nunit = \"scope\"\n[cgroup.deep]\nin = \"agents\"\n";
        let actors = balloon("b", "deep", "300M") + &beat("a", "one", "4K");
        let plan = planned("pressure", &format!("{cgroups}{actors}"));
        let [outer] = &*plan.outer else { panic!("{:?}", plan.outer) };
        assert_eq!(outer.cgroup.as_str(), "/workspace.slice/workspace-bulkhead_r5n17otgu92.slice");
        assert_eq!(outer.cap(), Some((105 + 16) * MIB));
        // Nothing hangs in the slice of the run itself: systemd takes no cap of 0, so it has a page.
        assert_eq!(plan.slice.cap(), Some(4096));
        assert_eq!(plan.most_memory(), Some((105 + 16) * MIB + 4096));
        let units: Vec<_> = plan.cgroups.iter().map(|unit| (&*unit.unit, &*unit.slice)).collect();
        assert_eq!(
            units,
            [
                ("workspace-bulkhead_r5n17otgu92-agents.slice", "workspace-bulkhead_r5n17otgu92.slice"),
                ("bulkhead-r5n17otgu92-one.scope", "workspace-bulkhead_r5n17otgu92.slice"),
                (
                    "workspace-bulkhead_r5n17otgu92-agents-deep.slice",
                    "workspace-bulkhead_r5n17otgu92-agents.slice"
                ),
            ]
        );
        assert_eq!(&*plan.actors[0].unit, "bulkhead-r5n17otgu92-agents-deep-b.scope");
        for unit in plan.cgroups.iter().chain(&plan.outer).map(|unit| &unit.unit) {
            assert_eq!(crate::unit_name::run_of(unit), Some(RUN), "{unit}");
        }
    }

    #[test]
    fn a_destructive_run_has_no_cap_of_the_harness() {
        let body = format!("[cgroup.w]\nin = \"workspace.slice\"\n{}", balloon("b", "w", "300M"));
        let plan = planned("destructive", &body);
        assert_eq!((plan.most_memory(), plan.outer[0].cap()), (None, None));
    }

    #[rstest]
    #[case::in_the_run("[cgroup.w]\n".to_owned() + &balloon("b", "w", "8E"))]
    #[case::below_a_cap_that_is_too_large(
        "[cgroup.w]\nMemoryMax = \"8E\"\n".to_owned() + &balloon("b", "w", "8E") + &balloon("c", "w", "8E")
    )]
    #[case::below_a_slice_of_the_machine("[cgroup.w]\nin = \"a.slice\"\n".to_owned() + &balloon("b", "w", "8E"))]
    #[case::in_a_scope_of_its_own(balloon("b", "system.slice", "15.9E"))]
    #[case::a_share_of_a_limit(
        "[cgroup.w]\nMemoryMax = \"8E\"\n".to_owned()
            + &actor("b", "w", "kind = \"balloon\"\nsize = { percent = 99999, of = \"w.MemoryMax\" }\ntext = \"pinned\"")
    )]
    #[case::touched_at_each_beat("[cgroup.w]\n".to_owned() + &beat("a", "w", "15.9E"))]
    #[case::a_file(actor("a", "system.slice", "kind = \"reader\"\nbytes = \"15.9E\""))]
    #[case::grown_for_ever("[cgroup.w]\n".to_owned() + &balloon("b", "w", "1M") + "profile = \"grow\"\n")]
    fn what_is_larger_than_any_machine_never_wraps(#[case] body: String) {
        let plan = planned("pressure", &body);
        let most = plan.most_memory().max(Some(plan.most_disk()));
        assert!(most >= Some(1 << 60), "{most:?}");
    }
}
