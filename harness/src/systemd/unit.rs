//! What systemd says about a unit.

use serde::{Deserialize, Serialize};

use crate::cgroupfs::{CgroupPath, InvalidCgroupPath};

/// The load state of a unit that does not exist.
pub const NOT_FOUND: &str = "not-found";

/// One line of `systemctl list-units`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Whether nothing of it runs any more. A unit whose deadline has passed is neither this nor active for as long as
    /// its processes take to die: `deactivating`.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self.active_state.as_deref(), None | Some("inactive" | "failed"))
    }
}

/// The cgroup of a slice: `a-b.slice` lies at `/a.slice/a-b.slice`, and `-.slice` is the root.
///
/// # Errors
/// When `name` is no slice's name.
pub fn slice_cgroup(name: &str) -> Result<CgroupPath, InvalidCgroupPath> {
    if name == "-.slice" {
        return Ok(CgroupPath::root());
    }
    // A name that is no slice's becomes a relative path, which is refused with its text.
    let Some(stem) = name.strip_suffix(".slice").filter(|stem| !stem.is_empty()) else { return name.parse() };
    let mut path = CgroupPath::root();
    for (at, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
        if stem[..at].is_empty() || stem[..at].ends_with('-') {
            return name.parse();
        }
        path = path.join(&format!("{}.slice", &stem[..at]))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("-.slice", "/")]
    #[case("system.slice", "/system.slice")]
    #[case("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice")]
    #[case("a\\x2db.slice", "/a\\x2db.slice")]
    fn a_slice_lies_below_the_slices_its_name_begins_with(#[case] name: &str, #[case] path: &str) {
        assert_eq!(slice_cgroup(name).expect("a slice").as_str(), path);
    }

    #[rstest]
    #[case("a.service")]
    #[case(".slice")]
    #[case("a--b.slice")]
    #[case("a-.slice")]
    #[case("-a.slice")]
    #[case("../x.slice")]
    fn a_name_that_is_no_slices_is_refused(#[case] name: &str) {
        assert!(slice_cgroup(name).is_err());
    }

    #[test]
    fn a_unit_that_does_not_exist_has_no_result() {
        let unit = Unit::absent("x.scope");
        assert!(!unit.exists() && !unit.is_active());
        assert_eq!(unit.result, None);
    }
}
