//! Which run made a unit: a description with a random token proves it.
//!
//! A name can be anybody's. What a run started carries its token from the first moment, for as long as systemd knows the
//! unit: also when the run was killed between its note in the journal and the start, and when the name is another's by now.

use std::fs::File;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::property::{Property, PropertyName, PropertyValue};
use crate::systemd::Unit;
use crate::unit_name::run_of;

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
        signed.push(described(self.description()));
        signed
    }

    /// Whether this run started the unit.
    #[must_use]
    pub fn made(&self, unit: &Unit) -> bool {
        unit.description.as_deref() == Some(&self.description())
    }
}

/// What a unit says of itself.
#[must_use]
pub fn described(text: String) -> Property {
    Property { name: PropertyName::Description, value: PropertyValue::Text(text) }
}

/// Whether a run started the unit, although its journal is gone: the name and the description speak of one run.
#[must_use]
pub fn made_by_a_run(unit: &Unit) -> bool {
    let told = unit.description.as_deref().and_then(|text| text.strip_prefix("bulkhead run "));
    let told = told.and_then(|rest| rest.split_once(' ')).map(|(run, _)| run);
    unit.transient && told.is_some() && told == run_of(&unit.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
