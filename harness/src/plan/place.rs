//! How an actor gets into its cgroup, where that is expected to be, and what that way leaves to be known of its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cgroupfs::{CgroupPath, InvalidCgroupPath};

/// How an actor is started and placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A child of the harness in a scope of its own.
    OwnScope,
    /// A child of the harness in a scope shared with other actors.
    SharedScope,
    /// The main process of a service, started by PID 1.
    ServiceMain,
    /// A child of the harness moved into the cgroup of a running service.
    InService,
}

/// Who is told how a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The harness, by the wait status.
    Harness,
    /// systemd, which tells it with the unit's state.
    Manager,
}

impl Place {
    /// Whether nobody but the processes of this one actor lives in its cgroup: then who is killed there is the actor, also
    /// where the kernel names a thread because the leader had already let go of its memory.
    #[must_use]
    pub fn is_alone(self) -> bool {
        match self {
            Self::OwnScope => true,
            Self::SharedScope | Self::ServiceMain | Self::InService => false,
        }
    }

    /// Who learns how the actor ended.
    #[must_use]
    pub fn parent(self) -> Parent {
        match self {
            Self::OwnScope | Self::SharedScope | Self::InService => Parent::Harness,
            Self::ServiceMain => Parent::Manager,
        }
    }
}

/// The cgroup that an actor is expected in. Which one it really is in is observed: somebody else may choose it, as logind
/// numbers the scopes of sessions. Written as the path, with a slash at its end for any cgroup below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Expected {
    /// This very cgroup.
    Exactly(CgroupPath),
    /// Any cgroup below this one.
    Below(CgroupPath),
}

impl Expected {
    /// Whether an observed cgroup is as expected.
    #[must_use]
    pub fn allows(&self, observed: &CgroupPath) -> bool {
        match self {
            Self::Exactly(path) => path == observed,
            Self::Below(path) => path.contains(observed) && path != observed,
        }
    }

    /// The innermost cgroup that is known to hold the actor before anybody has looked.
    #[must_use]
    pub fn path(&self) -> &CgroupPath {
        match self {
            Self::Exactly(path) | Self::Below(path) => path,
        }
    }
}

/// In words, behind "planned is".
impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(path) => path.fmt(formatter),
            Self::Below(path) => write!(formatter, "a cgroup below {path}"),
        }
    }
}

impl TryFrom<String> for Expected {
    type Error = InvalidCgroupPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.strip_suffix('/') {
            Some("") => Ok(Self::Below(CgroupPath::root())),
            Some(path) => path.parse().map(Self::Below),
            None => text.parse().map(Self::Exactly),
        }
    }
}

impl From<Expected> for String {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Below(path) if !path.is_root() => format!("{path}/"),
            Expected::Exactly(path) | Expected::Below(path) => path.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_very_one("/a/b.scope", "/a/b.scope", true)]
    #[case::one_below_it("/a/b.scope", "/a/b.scope/c", false)]
    #[case::another("/a/b.scope", "/a/c.scope", false)]
    #[case::somewhere_below("/a/", "/a/b/c.scope", true)]
    #[case::itself_is_not_below("/a/", "/a", false)]
    #[case::only_named_alike("/a/", "/ab", false)]
    #[case::anywhere("/", "/a", true)]
    fn an_observed_cgroup_is_held_against_what_was_expected(
        #[case] expected: &str,
        #[case] observed: &str,
        #[case] allowed: bool,
    ) {
        let read: Expected = serde_json::from_value(expected.into()).expect("an expectation");
        assert_eq!(read.allows(&observed.parse().expect("a path")), allowed);
        assert_eq!(serde_json::to_value(&read).expect("written"), expected);
    }

    #[rstest]
    #[case("a/b")]
    #[case("/a//")]
    #[case("")]
    fn what_is_no_path_is_no_expectation(#[case] text: &str) {
        assert!(Expected::try_from(text.to_owned()).is_err());
    }
}
