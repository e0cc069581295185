//! What systemd says about a unit.

use crate::cgroupfs::CgroupPath;

/// The load state of a unit that does not exist.
pub const NOT_FOUND: &str = "not-found";

/// One line of `systemctl list-units`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitStatus {
    /// `ssh.service`.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `failed`, …
    pub active: String,
    /// `running`, `exited`, …
    pub sub: String,
}

/// A unit. Of a unit that does not exist systemd would give defaults (`Result=success`); here it has no facts but its
/// load state. `None`: not known, or not a property of this type of unit. Every slice can be loaded without a file: one that
/// was never started is `loaded` and `inactive`, with no cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// `ssh.service`.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, …
    pub load_state: String,
    /// `active`, `inactive`, `failed`, …
    pub active_state: Option<String>,
    /// `running`, `dead`, …
    pub sub_state: Option<String>,
    /// `success`, `oom-kill`, `signal`, `timeout`, …; of services and scopes. `success` does not mean that nothing in it
    /// was killed.
    pub result: Option<String>,
    /// 32 hexadecimal digits, new with each start; `None` while it was never started.
    pub invocation_id: Option<String>,
    /// The main process of a running service.
    pub main_pid: Option<u32>,
    /// How often systemd has restarted the service by itself.
    pub n_restarts: Option<u32>,
    /// `si_code` of the main process's end: 1 exited, 2 killed, 3 dumped; `None` while it has not ended.
    pub exec_main_code: Option<i32>,
    /// Its exit status or the signal.
    pub exec_main_status: Option<i32>,
    /// The cgroup, while there is one.
    pub control_group: Option<CgroupPath>,
    /// The slice it is in.
    pub slice: Option<String>,
    /// `continue`, `stop` or `kill`.
    pub oom_policy: Option<String>,
    /// `Description=`; systemd gives the unit's name when nobody gave one.
    pub description: Option<String>,
    /// The unit file it comes from; a transient unit's lies below `/run/systemd/transient`.
    pub fragment_path: Option<String>,
    /// Whether it was made over D-Bus, for as long as it runs.
    pub transient: bool,
}

impl Unit {
    /// A unit that does not exist.
    #[must_use]
    pub fn absent(name: &str) -> Self {
        Self { name: name.to_owned(), load_state: NOT_FOUND.to_owned(), ..Self::default() }
    }

    /// Whether there is such a unit.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.load_state != NOT_FOUND
    }

    /// Whether it is active.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active_state.as_deref() == Some("active")
    }

    /// Whether the name is somebody's: it runs, it failed and is remembered, or there is a file for it. A slice that was
    /// never started is `loaded` and nobody's.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let idle = matches!(self.active_state.as_deref(), None | Some("inactive"));
        let plain = matches!(self.load_state.as_str(), NOT_FOUND | "loaded");
        self.exists() && !(idle && plain && self.fragment_path.is_none())
    }

    /// Whether nothing of it runs any more. A unit whose deadline has passed is neither this nor active for as long as
    /// its processes take to die: `deactivating`.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self.active_state.as_deref(), None | Some("inactive" | "failed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(Unit::absent("x.scope"), false)]
    #[case::a_slice_never_started(at("loaded", "inactive", None), false)]
    #[case::running(at("loaded", "active", None), true)]
    #[case::on_its_way(at("loaded", "activating", None), true)]
    #[case::failed(at("loaded", "failed", None), true)]
    #[case::a_file(at("loaded", "inactive", Some("/etc/systemd/system/x.slice")), true)]
    #[case::masked(at("masked", "inactive", None), true)]
    fn a_name_is_taken_by_what_runs_failed_or_has_a_file(#[case] unit: Unit, #[case] taken: bool) {
        assert_eq!(unit.is_taken(), taken);
    }

    fn at(load: &str, active: &str, file: Option<&str>) -> Unit {
        Unit {
            load_state: load.into(),
            active_state: Some(active.into()),
            fragment_path: file.map(str::to_owned),
            ..Unit::default()
        }
    }

    #[test]
    fn a_unit_that_does_not_exist_has_no_result() {
        let unit = Unit::absent("x.scope");
        assert!(!unit.exists() && !unit.is_active());
        assert_eq!(unit.result, None);
    }
}
