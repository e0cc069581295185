//! Refuses what could hurt: a host that did not allow it, a plan that would push the machine too far.
//!
//! On a machine, the root-owned policy file decides; limits combine by minimum, so a scenario can never widen them.

mod unfit;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::host::HostFacts;
use crate::notation::bytes::Bytes;
use crate::notation::percent::Percent;
use crate::notation::span::Span;
use crate::plan::Plan;

pub use unfit::{Unfit, fit};

/// The file with which the owner of a machine allows runs on it.
pub const ALLOWANCE_PATH: &str = "/etc/bulkhead/host.toml";
/// A run may push the machine to this share of its memory at most.
const ADMITTED_PERCENT: u64 = 90;
/// A run must leave this share of the file system of its data free.
const FREE_DISK_PERCENT: u64 = 10;

/// What the owner of a machine allows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    schema: u32,
    /// Whether the machine may be lost: only then do pressure and destructive scenarios run.
    #[serde(default)]
    disposable: bool,
    /// The most a run may take in all, `2G`.
    max_memory: Option<String>,
    /// The share of memory that a run may push the machine to, `80%`.
    max_used: Option<String>,
    /// The most that a run may write to the disk, `1G`.
    max_disk: Option<String>,
    /// The longest deadline, `5min`.
    max_deadline: Option<String>,
    /// Bytes a second to which the swap device is throttled from outside, `8M`.
    swap_rate: Option<String>,
}

/// What the owner of a machine allows, read and checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Whether the machine may be lost.
    pub disposable: bool,
    /// The most a run may take in all, bytes.
    pub max_memory: Option<u64>,
    /// The share of memory that a run may push the machine to, percent.
    pub max_used_percent: Option<u64>,
    /// The most that a run may write to the disk, bytes.
    pub max_disk: Option<u64>,
    /// The longest deadline, µs.
    pub max_deadline_us: Option<u64>,
    /// Bytes a second to which the swap device is throttled from outside: nothing on the machine itself can tell.
    pub swap_rate: Option<u64>,
}

/// Why a host's policy is not usable. Every case means: nothing runs here.
#[derive(Debug, thiserror::Error)]
pub enum AllowanceError {
    /// There is none.
    #[error(
        "{path} does not exist, so nothing may run on this machine: as root, write\n  schema = 1\nto it to allow \
         contained scenarios, or run in a throwaway VM with --on vm",
        path = .0.display()
    )]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than root could have written it.
    #[error("{path} is not root's alone (uid {uid}, mode {mode:o}): chown root and chmod 644 it", path = path.display())]
    NotRoots {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its mode.
        mode: u32,
    },
    /// It does not parse.
    #[error("{path}: {message}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
}

impl Allowance {
    /// Reads the policy of this machine.
    ///
    /// # Errors
    /// When it is missing, not root's alone, or says something unknown.
    pub fn load(path: &Path) -> Result<Self, AllowanceError> {
        let read = |source| AllowanceError::Read { path: path.to_owned(), source };
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(AllowanceError::Missing(path.to_owned()));
            }
            found => found.map_err(read)?,
        };
        let mode = metadata.mode() & 0o7777;
        if metadata.uid() != 0 || mode & 0o022 != 0 {
            return Err(AllowanceError::NotRoots { path: path.to_owned(), uid: metadata.uid(), mode });
        }
        Self::parse(&fs::read_to_string(path).map_err(read)?)
            .map_err(|message| AllowanceError::Invalid { path: path.to_owned(), message })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        if written.schema != 1 {
            return Err(format!("schema is {}, this bulkhead knows 1", written.schema));
        }
        fn value<T: std::str::FromStr>(key: &str, text: Option<&String>) -> Result<Option<T>, String>
        where
            T::Err: std::fmt::Display,
        {
            text.map(|text| text.parse::<T>().map_err(|error| format!("{key}: {error}"))).transpose()
        }
        let max_used = value::<Percent>("max-used", written.max_used.as_ref())?;
        Ok(Self {
            disposable: written.disposable,
            max_memory: value::<Bytes>("max-memory", written.max_memory.as_ref())?.map(|bytes| bytes.0),
            max_disk: value::<Bytes>("max-disk", written.max_disk.as_ref())?.map(|bytes| bytes.0),
            max_used_percent: max_used.map(|percent| percent.of(100)),
            swap_rate: value::<Bytes>("swap-rate", written.swap_rate.as_ref())?.map(|bytes| bytes.0),
            max_deadline_us: value::<Span>("max-deadline", written.max_deadline.as_ref())?.map(|span| span.0),
        })
    }
}

/// Why a plan is refused, with the numbers.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// It would take too much of the machine.
    #[error(
        "the run may take {wanted_mib} MiB and {used_mib} MiB of {total_mib} MiB are in use: that is {percent} % of the \
         machine, at most {allowed} % are admitted"
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
    #[error("the run may take {wanted_mib} MiB, {ALLOWANCE_PATH} allows {allowed_mib} MiB")]
    Owner {
        /// What the run may take, MiB.
        wanted_mib: u64,
        /// What is allowed, MiB.
        allowed_mib: u64,
    },
    /// It would fill the disk.
    #[error(
        "the run may write {wanted_mib} MiB to {}, which has {free_mib} MiB of {total_mib} MiB free: at least \
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
    #[error("the run may write {wanted_mib} MiB to the disk, {ALLOWANCE_PATH} allows {allowed_mib} MiB")]
    OwnersDisk {
        /// What the run may write, MiB.
        wanted_mib: u64,
        /// What is allowed, MiB.
        allowed_mib: u64,
    },
    /// The owner of the machine allows so much, and nothing would hold the run to it.
    #[error(
        "{ALLOWANCE_PATH} allows {allowed_mib} MiB, and a destructive run has no cap that could keep to it"
    )]
    Uncapped {
        /// What is allowed, MiB.
        allowed_mib: u64,
    },
    /// The owner of the machine allows less time.
    #[error("the deadline is {wanted_s} s, {ALLOWANCE_PATH} allows {allowed_s} s")]
    Deadline {
        /// Seconds.
        wanted_s: u64,
        /// Seconds.
        allowed_s: u64,
    },
    /// A fact that the decision needs could not be read.
    #[error("{0} could not be read, so it cannot be told whether the run is safe")]
    Unknown(&'static str),
    /// A kernel setting makes an OOM kill in a cgroup a danger for the whole machine.
    #[error("vm.panic_on_oom is {0}: an OOM kill would panic this machine; set it to 0")]
    PanicOnOom(u64),
}

/// Admits a plan, or refuses it with the numbers.
///
/// # Errors
/// When the plan could hurt this machine more than its owner and the harness allow.
pub fn admit(plan: &Plan, host: &HostFacts, policy: &Allowance) -> Result<(), Refusal> {
    let deadline_s = plan.deadline_us / 1_000_000;
    if let Some(allowed) = policy.max_deadline_us
        && plan.deadline_us > allowed
    {
        return Err(Refusal::Deadline { wanted_s: deadline_s, allowed_s: allowed / 1_000_000 });
    }
    match host.panic_on_oom {
        Some(0) => {}
        Some(value) => return Err(Refusal::PanicOnOom(value)),
        None => return Err(Refusal::Unknown("vm.panic_on_oom")),
    }
    admit_disk(plan.most_disk(), host, policy)?;
    let total = host.memory_total.ok_or(Refusal::Unknown("MemTotal"))?;
    let available = host.memory_available.ok_or(Refusal::Unknown("MemAvailable"))?;
    // A destructive scenario has no cap of the harness's own; it only ever runs on a machine that may be lost.
    let Some(wanted) = plan.most_memory() else {
        return policy
            .max_memory
            .map_or(Ok(()), |allowed| Err(Refusal::Uncapped { allowed_mib: allowed >> 20 }));
    };
    if let Some(allowed) = policy.max_memory
        && wanted > allowed
    {
        return Err(Refusal::Owner { wanted_mib: wanted >> 20, allowed_mib: allowed >> 20 });
    }
    let used = total.saturating_sub(available);
    // Rounded up: 90.1 % of a machine is more than 90 %.
    let percent = ((u128::from(used) + u128::from(wanted)) * 100).div_ceil(u128::from(total.max(1)));
    let percent = u64::try_from(percent).unwrap_or(u64::MAX);
    let allowed = policy.max_used_percent.map_or(ADMITTED_PERCENT, |own| own.min(ADMITTED_PERCENT));
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
fn admit_disk(wanted: u64, host: &HostFacts, policy: &Allowance) -> Result<(), Refusal> {
    if wanted == 0 {
        return Ok(());
    }
    if let Some(allowed) = policy.max_disk
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
        let mut plan = crate::plan::plan(&scenario, None, &facts, "r1").expect("a plan");
        if let Some(bytes) = bytes {
            plan.actors.iter_mut().for_each(|actor| actor.properties.clear());
            plan.slice.limits = vec![("memory.max".into(), bytes.to_string())];
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
            "the run may take 8192 MiB and 2048 MiB of 10240 MiB are in use: that is 100 % of the machine, at most \
             90 % are admitted"
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
        let policy = Allowance { max_used_percent, ..Allowance::default() };
        assert_eq!(admit(&taking(Some(bytes)), &machine(), &policy).is_ok(), admitted);
    }

    #[test]
    fn the_owners_cap_is_a_cap_for_everything() {
        let policy = Allowance { max_memory: Some(GIB), disposable: true, ..Allowance::default() };
        assert_eq!(admit(&taking(Some(GIB)), &machine(), &policy), Ok(()));
        let more = admit(&taking(Some(GIB + (1 << 20))), &machine(), &policy);
        assert_eq!(more, Err(Refusal::Owner { wanted_mib: 1025, allowed_mib: 1024 }));
        let uncapped = admit(&taking(None), &machine(), &policy);
        assert_eq!(uncapped, Err(Refusal::Uncapped { allowed_mib: 1024 }));
        assert_eq!(admit(&taking(None), &machine(), &Allowance::default()), Ok(()));
    }

    #[test]
    fn the_owners_deadline_is_kept() {
        let policy = Allowance { max_deadline_us: Some(60_000_000), ..Allowance::default() };
        let refusal = admit(&taking(Some(GIB)), &machine(), &policy);
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
        assert_eq!(crate::plan::plan(&scenario, None, &facts, "r1").expect("a plan").most_disk(), bytes);
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
            "the run may write 15360 MiB to /var/lib/bulkhead, which has 20480 MiB of 102400 MiB free: at least 10 % \
             must stay free"
        );
    }

    #[test]
    fn the_owners_disk_is_a_cap_also_for_what_may_be_lost() {
        let policy = Allowance { max_disk: Some(GIB), disposable: true, ..Allowance::default() };
        assert_eq!(admit(&writing(GIB), &with_disk(50 * GIB), &policy), Ok(()));
        let mut uncapped = taking(None);
        uncapped.actors[0].file = Some(GIB + 1);
        let refusal = admit(&uncapped, &with_disk(50 * GIB), &policy);
        assert_eq!(refusal, Err(Refusal::OwnersDisk { wanted_mib: 1025, allowed_mib: 1024 }));
    }

    #[test]
    fn a_policy_says_what_it_allows() {
        let text = "schema = 1\ndisposable = true\nmax-memory = \"2G\"\nmax-used = \"80%\"\nmax-deadline = \"5min\"\n\
                    max-disk = \"1G\"\nswap-rate = \"8M\"\n";
        let policy = Allowance::parse(text).expect("a policy");
        let expected = Allowance {
            disposable: true,
            max_memory: Some(2 * GIB),
            max_used_percent: Some(80),
            max_disk: Some(GIB),
            max_deadline_us: Some(300_000_000),
            swap_rate: Some(8 << 20),
        };
        assert_eq!(policy, expected);
        assert_eq!(Allowance::parse("schema = 1").expect("a policy"), Allowance::default());
    }

    #[rstest]
    #[case::no_schema("disposable = true", "missing field `schema`")]
    #[case::another_schema("schema = 2", "schema is 2, this bulkhead knows 1")]
    #[case::a_misspelt_key("schema = 1\nmax-memroy = \"2G\"", "unknown field `max-memroy`")]
    #[case::a_bad_size("schema = 1\nmax-memory = \"2 potatoes\"", "max-memory: ")]
    #[case::a_word_for_a_bool("schema = 1\ndisposable = \"yes\"", "invalid type")]
    fn a_policy_that_is_not_understood_allows_nothing(#[case] text: &str, #[case] words: &str) {
        let message = Allowance::parse(text).expect_err("refused");
        assert!(message.contains(words), "{message}");
    }

    #[test]
    fn a_policy_that_is_missing_or_not_roots_alone_allows_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("host.toml");
        assert!(matches!(Allowance::load(&path), Err(AllowanceError::Missing(_))));
        fs::write(&path, "schema = 1\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("chmod");
        assert!(matches!(Allowance::load(&path), Err(AllowanceError::NotRoots { mode: 0o666, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        // Readable by all is fine; owned by somebody else is not.
        let roots = nix::unistd::geteuid().is_root();
        assert_eq!(Allowance::load(&path).is_ok(), roots);
    }
}
