//! Cgroups of a run by their names.

use crate::plan::Plan;

/// The plan's declared cgroup by name, as the judges need it.
pub(super) fn cgroup_path<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    plan.watched.iter().find(|watched| *watched.subject == *name).map(|watched| watched.cgroup.as_str())
}
