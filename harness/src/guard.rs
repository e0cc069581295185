//! Refuses what could hurt: a host that did not allow it, a plan that would push the machine too far.
//!
//! What the owner of a machine allows and what the harness admits combine by minimum; a scenario can widen neither.

mod unfit;

use crate::allowance::{Allowance, PATH};
use crate::host::HostFacts;
use crate::plan::Plan;

pub use unfit::{Unfit, fit};

/// A run may push the machine to this share of its memory at most.
const ADMITTED_PERCENT: u64 = 90;
/// A run must leave this share of the file system of its data free.
const FREE_DISK_PERCENT: u64 = 10;

/// Why a plan is refused, with the numbers.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// It would take too much of the machine.
    #[error(
        "the run can use up to {wanted_mib} MiB, and {used_mib} MiB of {total_mib} MiB are in use: together {percent} % \
         of the machine, of which at most {allowed} % is admitted"
    )]
    Memory {
        /// What the run may take, MiB.
        wanted_mib: u64,
        /// What is in use, MiB.
        used_mib: u64,
        /// MemTotal, MiB.
        total_mib: u64,
        /// What the sum comes to.
        percent: u64,
        /// What is admitted.
        allowed: u64,
    },
    /// The owner of the machine allows less.
    #[error("the run can use up to {wanted_mib} MiB, and {PATH} allows {allowed_mib} MiB")]
    Owner {
        /// What the run may take, MiB.
        wanted_mib: u64,
        /// What is allowed, MiB.
        allowed_mib: u64,
    },
    /// It would fill the disk.
    #[error(
        "the run can write up to {wanted_mib} MiB to {}, which has {free_mib} MiB of {total_mib} MiB free: at least \
         {FREE_DISK_PERCENT} % must stay free",
        crate::host::DATA
    )]
    Disk {
        /// What the run may write, MiB.
        wanted_mib: u64,
        /// What is free, MiB.
        free_mib: u64,
        /// The whole file system, MiB.
        total_mib: u64,
    },
    /// The owner of the machine allows less disk.
    #[error("the run can write up to {wanted_mib} MiB to disk, and {PATH} allows {allowed_mib} MiB")]
    OwnersDisk {
        /// What the run may write, MiB.
        wanted_mib: u64,
        /// What is allowed, MiB.
        allowed_mib: u64,
    },
    /// The owner of the machine allows so much, and nothing would hold the run to it.
    #[error("{PATH} allows {allowed_mib} MiB, and a destructive run has no cap to enforce it")]
    Uncapped {
        /// What is allowed, MiB.
        allowed_mib: u64,
    },
    /// The owner of the machine allows less time.
    #[error("the deadline is {wanted_s} s, and {PATH} allows {allowed_s} s")]
    Deadline {
        /// Seconds.
        wanted_s: u64,
        /// Seconds.
        allowed_s: u64,
    },
    /// A fact that the decision needs could not be read.
    #[error("{0} could not be read, so the run is not known to be safe")]
    Unknown(&'static str),
    /// A kernel setting makes an OOM kill in a cgroup a danger for the whole machine.
    #[error("vm.panic_on_oom is {0}: an OOM kill would panic this machine; set it to 0")]
    PanicOnOom(u64),
}

/// Admits a plan, or refuses it with the numbers.
///
/// # Errors
/// When the plan could hurt this machine more than its owner and the harness allow.
pub fn admit(plan: &Plan, host: &HostFacts, allowance: &Allowance) -> Result<(), Refusal> {
    let deadline_s = plan.deadline_us / 1_000_000;
    if let Some(allowed) = allowance.max_deadline_us
        && plan.deadline_us > allowed
    {
        return Err(Refusal::Deadline { wanted_s: deadline_s, allowed_s: allowed / 1_000_000 });
    }
    match host.panic_on_oom {
        Some(0) => {}
        Some(value) => return Err(Refusal::PanicOnOom(value)),
        None => return Err(Refusal::Unknown("vm.panic_on_oom")),
    }
    admit_disk(plan.most_disk(), host, allowance)?;
    let total = host.memory_total.ok_or(Refusal::Unknown("MemTotal"))?;
    let available = host.memory_available.ok_or(Refusal::Unknown("MemAvailable"))?;
    // A destructive scenario has no cap of the harness's own; it only ever runs on a machine that may be lost.
    let Some(wanted) = plan.most_memory() else {
        return allowance
            .max_memory
            .map_or(Ok(()), |allowed| Err(Refusal::Uncapped { allowed_mib: allowed >> 20 }));
    };
    if let Some(allowed) = allowance.max_memory
        && wanted > allowed
    {
        return Err(Refusal::Owner { wanted_mib: wanted >> 20, allowed_mib: allowed >> 20 });
    }
    let used = total.saturating_sub(available);
    // Rounded up: 90.1 % of a machine is more than 90 %.
    let percent = ((u128::from(used) + u128::from(wanted)) * 100).div_ceil(u128::from(total.max(1)));
    let percent = u64::try_from(percent).unwrap_or(u64::MAX);
    let allowed = allowance.max_used_percent.map_or(ADMITTED_PERCENT, |own| own.min(ADMITTED_PERCENT));
    if percent > allowed {
        let mib = |bytes: u64| bytes >> 20;
        return Err(Refusal::Memory {
            wanted_mib: mib(wanted),
            used_mib: mib(used),
            total_mib: mib(total),
            percent,
            allowed,
        });
    }
    Ok(())
}

/// What a run writes must leave the disk usable for everybody else.
fn admit_disk(wanted: u64, host: &HostFacts, allowance: &Allowance) -> Result<(), Refusal> {
    if wanted == 0 {
        return Ok(());
    }
    if let Some(allowed) = allowance.max_disk
        && wanted > allowed
    {
        return Err(Refusal::OwnersDisk { wanted_mib: whole_mib(wanted), allowed_mib: allowed >> 20 });
    }
    let disk = host.data_disk.ok_or(Refusal::Unknown("the free space of the disk"))?;
    let must_stay = disk.total.div_ceil(100).saturating_mul(FREE_DISK_PERCENT);
    if disk.free.saturating_sub(wanted) < must_stay {
        return Err(Refusal::Disk {
            wanted_mib: whole_mib(wanted),
            free_mib: disk.free >> 20,
            total_mib: disk.total >> 20,
        });
    }
    Ok(())
}

/// Rounded up: what is wanted is never said to be less than it is.
fn whole_mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cgroupfs::{Limit, LimitFile};
    use crate::host::Disk;
    use crate::scenario::Scenario;
    use crate::scenario::safety::Safety;

    const GIB: u64 = 1 << 30;

    /// The plan of `hard-cap-kill`, its memory replaced by what a test wants it to take.
    fn taking(bytes: Option<u64>) -> Plan {
        let text = include_str!("../../scenarios/hard-cap-kill.toml");
        let mut scenario = Scenario::parse("taking.toml", text).expect("a scenario");
        if bytes.is_none() {
            scenario.safety = Safety::Destructive;
        }
        let facts = HostFacts { memory_total: Some(8 * GIB), ..HostFacts::default() };
        let mut plan = crate::plan::plan(&scenario, &facts, "r1").expect("a plan");
        if let Some(bytes) = bytes {
            plan.actors.iter_mut().for_each(|actor| actor.properties.clear());
            plan.slice.limits = vec![(LimitFile::Max, Limit::Bytes(bytes))];
        }
        plan
    }

    /// 10 GiB, 2 GiB of them in use.
    fn machine() -> HostFacts {
        HostFacts {
            memory_total: Some(10 * GIB),
            memory_available: Some(8 * GIB),
            panic_on_oom: Some(0),
            ..HostFacts::default()
        }
    }

    #[rstest]
    #[case::up_to_ninety_percent(7 * GIB, true)]
    #[case::one_byte_more(7 * GIB + 1, false)]
    fn a_run_may_take_a_machine_to_ninety_percent(#[case] bytes: u64, #[case] admitted: bool) {
        let decision = admit(&taking(Some(bytes)), &machine(), &Allowance::default());
        assert_eq!(decision.is_ok(), admitted, "{decision:?}");
    }

    #[test]
    fn a_refusal_has_the_numbers() {
        let refusal = admit(&taking(Some(8 * GIB)), &machine(), &Allowance::default()).expect_err("refused");
        assert_eq!(
            refusal.to_string(),
            "the run can use up to 8192 MiB, and 2048 MiB of 10240 MiB are in use: together 100 % of the machine, of \
             which at most 90 % is admitted"
        );
    }

    #[rstest]
    #[case::less_than_the_harness_would_admit(Some(50), 3 * GIB, true)]
    #[case::and_it_holds(Some(50), 4 * GIB, false)]
    #[case::more_changes_nothing(Some(99), 8 * GIB, false)]
    fn the_owner_can_only_narrow_what_is_admitted(
        #[case] max_used_percent: Option<u64>,
        #[case] bytes: u64,
        #[case] admitted: bool,
    ) {
        let allowance = Allowance { max_used_percent, ..Allowance::default() };
        assert_eq!(admit(&taking(Some(bytes)), &machine(), &allowance).is_ok(), admitted);
    }

    #[test]
    fn the_owners_cap_is_a_cap_for_everything() {
        let allowance = Allowance { max_memory: Some(GIB), disposable: true, ..Allowance::default() };
        assert_eq!(admit(&taking(Some(GIB)), &machine(), &allowance), Ok(()));
        let more = admit(&taking(Some(GIB + (1 << 20))), &machine(), &allowance);
        assert_eq!(more, Err(Refusal::Owner { wanted_mib: 1025, allowed_mib: 1024 }));
        let uncapped = admit(&taking(None), &machine(), &allowance);
        assert_eq!(uncapped, Err(Refusal::Uncapped { allowed_mib: 1024 }));
        assert_eq!(admit(&taking(None), &machine(), &Allowance::default()), Ok(()));
    }

    #[test]
    fn the_owners_deadline_is_kept() {
        let allowance = Allowance { max_deadline_us: Some(60_000_000), ..Allowance::default() };
        let refusal = admit(&taking(Some(GIB)), &machine(), &allowance);
        assert_eq!(refusal, Err(Refusal::Deadline { wanted_s: 90, allowed_s: 60 }));
    }

    #[rstest]
    #[case::panic_on_oom(HostFacts { panic_on_oom: Some(1), ..machine() }, Refusal::PanicOnOom(1))]
    #[case::panic_unknown(HostFacts { panic_on_oom: None, ..machine() }, Refusal::Unknown("vm.panic_on_oom"))]
    #[case::total_unknown(HostFacts { memory_total: None, ..machine() }, Refusal::Unknown("MemTotal"))]
    #[case::free_unknown(HostFacts { memory_available: None, ..machine() }, Refusal::Unknown("MemAvailable"))]
    fn a_machine_that_would_panic_or_cannot_be_read_is_left_alone(
        #[case] host: HostFacts,
        #[case] refusal: Refusal,
    ) {
        assert_eq!(admit(&taking(Some(GIB)), &host, &Allowance::default()), Err(refusal));
    }

    /// A plan whose first actor writes so much.
    fn writing(bytes: u64) -> Plan {
        let mut plan = taking(Some(GIB));
        plan.actors[0].file = Some(bytes);
        plan
    }

    /// A disk of 100 GiB.
    fn with_disk(free: u64) -> HostFacts {
        HostFacts { data_disk: Some(Disk { total: 100 * GIB, free }), ..machine() }
    }

    #[rstest]
    #[case::a_tenth_stays_free(10 * GIB, 20 * GIB, true)]
    #[case::one_byte_more(10 * GIB + 1, 20 * GIB, false)]
    #[case::more_than_there_is(30 * GIB, 20 * GIB, false)]
    #[case::any_number(u64::MAX, 20 * GIB, false)]
    fn a_run_leaves_a_tenth_of_the_disk_free(#[case] bytes: u64, #[case] free: u64, #[case] admitted: bool) {
        let decision = admit(&writing(bytes), &with_disk(free), &Allowance::default());
        assert_eq!(decision.is_ok(), admitted, "{decision:?}");
    }

    /// Everything in the data directory counts: a file balloon up to its deadline, a cold copy by what it is at most.
    #[rstest]
    #[case::pinned_anonymous("", 0)]
    #[case::a_cold_copy("text  = \"evictable\"", 32 << 20)]
    #[case::a_file("memory = \"file\"", 614 << 20)]
    #[case::a_file_that_grows("memory = \"file\"\nprofile = \"grow\"\nrate = \"1M\"", (614 + 90) << 20)]
    #[case::a_file_without_end("memory = \"file\"\nprofile = \"grow\"", u64::MAX)]
    fn what_a_run_puts_on_the_disk_is_counted(#[case] keys: &str, #[case] bytes: u64) {
        let text = include_str!("../../scenarios/hard-cap-kill.toml")
            .replace("size  = { percent = 120, of = \"work.MemoryMax\" }", "size = \"614M\"");
        let text = match keys.strip_prefix("text") {
            Some(_) => text.replace("text  = \"pinned\"", keys),
            None => text.replace("text  = \"pinned\"", &format!("text  = \"pinned\"\n{keys}")),
        };
        let scenario = Scenario::parse("writing.toml", &text).expect("a scenario");
        let facts = HostFacts { memory_total: Some(8 * GIB), ..HostFacts::default() };
        assert_eq!(crate::plan::plan(&scenario, &facts, "r1").expect("a plan").most_disk(), bytes);
    }

    #[test]
    fn a_run_that_writes_nothing_needs_no_disk() {
        assert_eq!(admit(&taking(Some(GIB)), &with_disk(0), &Allowance::default()), Ok(()));
        assert_eq!(admit(&taking(Some(GIB)), &machine(), &Allowance::default()), Ok(()));
    }

    #[test]
    fn a_disk_whose_space_is_not_known_takes_nothing() {
        let refusal = admit(&writing(1), &machine(), &Allowance::default());
        assert_eq!(refusal, Err(Refusal::Unknown("the free space of the disk")));
    }

    #[test]
    fn a_refused_disk_has_the_numbers() {
        let refusal = admit(&writing(15 * GIB), &with_disk(20 * GIB), &Allowance::default());
        assert_eq!(
            refusal.expect_err("refused").to_string(),
            "the run can write up to 15360 MiB to /var/lib/bulkhead, which has 20480 MiB of 102400 MiB free: at least 10 % \
             must stay free"
        );
    }

    #[test]
    fn the_owners_disk_is_a_cap_also_for_what_may_be_lost() {
        let allowance = Allowance { max_disk: Some(GIB), disposable: true, ..Allowance::default() };
        assert_eq!(admit(&writing(GIB), &with_disk(50 * GIB), &allowance), Ok(()));
        let mut uncapped = taking(None);
        uncapped.actors[0].file = Some(GIB + 1);
        let refusal = admit(&uncapped, &with_disk(50 * GIB), &allowance);
        assert_eq!(refusal, Err(Refusal::OwnersDisk { wanted_mib: 1025, allowed_mib: 1024 }));
    }
}
