//! What units are called: the names that a run makes, which run is in a name, and where a slice's name puts it. Pure.

use crate::cgroupfs::{CgroupPath, InvalidCgroupPath};

/// The parent of everything that bulkhead makes.
pub const PARENT: &str = "bulkhead.slice";
/// The slice of the harness itself, beside the slices of its runs.
pub const SHELTER: &str = "bulkhead-harness.slice";

/// The scope that the harness of a run lives in.
#[must_use]
pub fn shelter_scope(run: &str) -> String {
    format!("bulkhead-harness-{run}.scope")
}

/// The slice of the harness's own that a run puts below a slice of the machine: what is declared there hangs in it.
#[must_use]
pub fn outer_slice(slice: &str, run: &str) -> String {
    match slice.trim_end_matches(".slice") {
        // The root slice: every other lies in it, whatever its name.
        "-" => format!("bulkhead_{run}.slice"),
        stem => format!("{stem}-bulkhead_{run}.slice"),
    }
}

/// The id of the run that a unit (or its cgroup) is named after: `bulkhead-rID…`, `bulkhead-harness-rID.scope`, and
/// `…-bulkhead_rID….slice` below a slice of the machine. Other names belong to whoever chose them.
#[must_use]
pub fn run_of(name: &str) -> Option<&str> {
    let stem = &name[..name.rfind('.').unwrap_or(name.len())];
    let own = stem.strip_prefix("bulkhead-").map(|rest| rest.strip_prefix("harness-").unwrap_or(rest));
    let own = own.and_then(|rest| rest.split('-').next());
    let below = stem.split('-').filter_map(|part| part.strip_prefix("bulkhead_"));
    own.into_iter().chain(below.filter(|_| name.ends_with(".slice"))).find(|id| is_id(id))
}

/// A run's id is `r` and at least eight digits in base 36.
fn is_id(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() > 8 && text.starts_with('r') && text.bytes().all(digit)
}

/// The slices that a slice lies in, outermost first and without the root: `a.slice` of `a-b.slice`. systemd starts them
/// with it.
#[must_use]
pub fn slices_above(slice: &str) -> Vec<String> {
    let stem = slice.trim_end_matches(".slice");
    stem.match_indices('-')
        .filter(|(at, _)| *at > 0)
        .map(|(at, _)| format!("{}.slice", &stem[..at]))
        .collect()
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
    #[case("bulkhead-r5n17otgu92.slice", Some("r5n17otgu92"))]
    #[case("bulkhead-r5n17otgu92-work-hog.scope", Some("r5n17otgu92"))]
    #[case("bulkhead-harness-r5n17otgu92.scope", Some("r5n17otgu92"))]
    #[case("workspace-bulkhead_r5n17otgu92.slice", Some("r5n17otgu92"))]
    #[case("workspace-bulkhead_r5n17otgu92-agents.slice", Some("r5n17otgu92"))]
    #[case("a-b\\x2dc-bulkhead_r5n17otgu92.slice", Some("r5n17otgu92"))]
    #[case("bulkhead_r5n17otgu92.slice", Some("r5n17otgu92"))]
    #[case("bulkhead-bulkhead_r5n17otgu92-agents.slice", Some("r5n17otgu92"))]
    #[case("bulkhead-harness.slice", None)]
    #[case("bulkhead.slice", None)]
    #[case("bulkhead-agent.service", None)]
    #[case("bulkhead-recover.service", None)]
    #[case("bulkhead-recover-at-boot.service", None)]
    #[case("bulkheads-r5n17otgu92.slice", None)]
    #[case("workspace-bulkhead_r5n17otgu92.service", None)]
    #[case("workspace-agents.slice", None)]
    fn a_units_name_tells_its_run(#[case] name: &str, #[case] run: Option<&str>) {
        assert_eq!(run_of(name), run);
    }

    #[rstest]
    #[case("workspace.slice", "workspace-bulkhead_r5n17otgu92.slice")]
    #[case("a-b.slice", "a-b-bulkhead_r5n17otgu92.slice")]
    #[case("-.slice", "bulkhead_r5n17otgu92.slice")]
    fn what_is_declared_in_a_slice_of_the_machine_hangs_in_one_of_the_harness(
        #[case] slice: &str,
        #[case] outer: &str,
    ) {
        assert_eq!(outer_slice(slice, "r5n17otgu92"), outer);
        assert_eq!(run_of(outer), Some("r5n17otgu92"));
    }

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

    #[rstest]
    #[case("-.slice", &[])]
    #[case("a.slice", &[])]
    #[case("a-b-c.slice", &["a.slice", "a-b.slice"])]
    fn a_slice_brings_those_it_lies_in(#[case] name: &str, #[case] above: &[&str]) {
        assert_eq!(slices_above(name), above);
    }
}
