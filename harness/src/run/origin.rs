//! Which run made a unit: its name says it, and a description with a random token proves it.
//!
//! A name can be anybody's. What a run started carries its token from the first moment, for as long as systemd knows the
//! unit: also when the run was killed between its note in the journal and the start, and when the name is another's by now.

use std::fs::File;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::systemd::{Property, Unit};

/// A run, and the token by which its units are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    run: String,
    token: String,
}

impl Origin {
    /// Draws the token of a run.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn draw(run: &str) -> io::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { run: run.to_owned(), token })
    }

    /// The id of the run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// What every unit of the run is described as.
    #[must_use]
    pub fn description(&self) -> String {
        format!("bulkhead run {} {}", self.run, self.token)
    }

    /// Properties of a unit to be started, with the proof of who started it.
    #[must_use]
    pub fn signed(&self, properties: &[Property]) -> Vec<Property> {
        let mut signed = properties.to_vec();
        signed.push(Property::new("Description", self.description()));
        signed
    }

    /// Whether this run started the unit.
    #[must_use]
    pub fn made(&self, unit: &Unit) -> bool {
        unit.description.as_deref() == Some(&self.description())
    }
}

/// Whether a run started the unit, although its journal is gone: the name and the description speak of one run.
#[must_use]
pub fn made_by_a_run(unit: &Unit) -> bool {
    let told = unit.description.as_deref().and_then(|text| text.strip_prefix("bulkhead run "));
    let told = told.and_then(|rest| rest.split_once(' ')).map(|(run, _)| run);
    unit.transient && told.is_some() && told == run_of(&unit.name)
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

    #[test]
    fn two_runs_of_one_name_do_not_own_each_others_units() {
        let (one, other) = (Origin::draw("r1").expect("drawn"), Origin::draw("r1").expect("drawn"));
        let unit = Unit { description: Some(one.description()), ..Unit::default() };
        assert!(one.made(&unit) && !other.made(&unit));
    }

    #[rstest]
    #[case::a_runs("bulkhead-r5n17otgu92.slice", "bulkhead run r5n17otgu92 0a", true, true)]
    #[case::another_runs("bulkhead-r5n17otgu92.slice", "bulkhead run r5n17otgu93 0a", true, false)]
    #[case::from_a_file("bulkhead-r5n17otgu92.slice", "bulkhead run r5n17otgu92 0a", false, false)]
    #[case::only_named_so("bulkhead-recoveratboot.service", "bulkhead-recoveratboot.service", true, false)]
    #[case::only_described_so("x.service", "bulkhead run r5n17otgu92 0a", true, false)]
    fn without_a_journal_name_and_description_have_to_agree(
        #[case] name: &str,
        #[case] description: &str,
        #[case] transient: bool,
        #[case] made: bool,
    ) {
        let unit =
            Unit { name: name.into(), description: Some(description.into()), transient, ..Unit::default() };
        assert_eq!(made_by_a_run(&unit), made);
    }
}
