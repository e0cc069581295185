//! Cgroups of a run: by name, and which is in which.

use crate::plan::Plan;

/// The plan's declared cgroup by name, as the judges need it.
pub(super) fn cgroup_path<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    plan.watched.iter().find(|watched| watched.subject == name).map(|watched| watched.cgroup.as_str())
}

/// Whether a cgroup is the one at `path` or below it. oomd kills recursively: everything below counts.
pub(super) fn is_below(cgroup: &str, path: &str) -> bool {
    cgroup.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
