//! The name of a cgroup: its absolute path in the host's hierarchy, as the kernel log and `/proc/PID/cgroup` print it.
//!
//! A path is text and says nothing about whether the cgroup exists.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An absolute cgroup path such as `/bulkhead.slice/bulkhead-work.slice`; the root is `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath(String);

/// Text that is no cgroup path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a cgroup path: it must begin with a slash and have no empty, `.` or `..` parts, as in `/system.slice`"
)]
pub struct InvalidCgroupPath(String);

impl CgroupPath {
    /// The root of the hierarchy.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path as the kernel prints it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root of the hierarchy.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The child called `name`.
    ///
    /// # Errors
    /// When `name` is not one plain directory name.
    pub fn join(&self, name: &str) -> Result<Self, InvalidCgroupPath> {
        let joined = if self.is_root() { format!("/{name}") } else { format!("{}/{name}", self.0) };
        if name.contains('/') { Err(InvalidCgroupPath(joined)) } else { joined.parse() }
    }

    /// The cgroup above; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.0.rfind('/') {
            Some(0) | None => Some(Self::root()),
            Some(slash) => Some(Self(self.0[..slash].to_owned())),
        }
    }

    /// This cgroup, then its parent, and so on up to and including the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The last part: for a unit's cgroup the unit's name. Empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether `other` is this cgroup or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.is_root() || is_below(&other.0, &self.0)
    }

    /// The directory of this cgroup below the mount point `root`.
    #[must_use]
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(self.0.trim_start_matches('/'))
    }
}

/// Whether the cgroup at a path, as text of a record or a log has it, is the one at `root` or below it. Nothing is told by the
/// root of the hierarchy, which holds far more than a run knows of.
#[must_use]
pub fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromStr for CgroupPath {
    type Err = InvalidCgroupPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text == "/"
            || text.strip_prefix('/').is_some_and(|rest| {
                rest.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
            });
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidCgroupPath(text.to_owned())) }
    }
}

impl TryFrom<String> for CgroupPath {
    type Error = InvalidCgroupPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CgroupPath> for String {
    fn from(path: CgroupPath) -> Self {
        path.0
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn path(text: &str) -> CgroupPath {
        text.parse().expect("a valid path")
    }

    #[rstest]
    #[case("")]
    #[case("system.slice")]
    #[case("/a//b")]
    #[case("/a/")]
    #[case("/a/../b")]
    #[case("/./a")]
    fn a_path_that_could_leave_the_tree_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<CgroupPath>(), Err(InvalidCgroupPath(text.to_owned())));
    }

    #[test]
    fn ancestors_run_from_the_cgroup_to_the_root() {
        let names: Vec<_> = path("/a.slice/a-b.slice/c.scope").ancestors().map(String::from).collect();
        assert_eq!(names, ["/a.slice/a-b.slice/c.scope", "/a.slice/a-b.slice", "/a.slice", "/"]);
        assert_eq!(path("/a.slice/c.scope").name(), "c.scope");
        assert_eq!(CgroupPath::root().name(), "");
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_contained() {
        assert!(path("/a").contains(&path("/a")));
        assert!(path("/a").contains(&path("/a/b")));
        assert!(!path("/a").contains(&path("/ab")));
        assert!(CgroupPath::root().contains(&path("/ab")));
    }

    #[test]
    fn a_child_name_cannot_hold_a_slash() {
        assert_eq!(path("/a").join("b").map(String::from), Ok("/a/b".to_owned()));
        assert_eq!(CgroupPath::root().join("b").map(String::from), Ok("/b".to_owned()));
        assert!(path("/a").join("../b").is_err());
        assert!(path("/a").join("b/c").is_err());
    }

    #[test]
    fn a_path_from_a_saved_record_is_checked() {
        assert!(serde_json::from_str::<CgroupPath>("\"/a/../b\"").is_err());
        assert_eq!(serde_json::to_string(&path("/a/b")).expect("json"), "\"/a/b\"");
    }
}
