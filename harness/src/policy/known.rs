//! `[[known]]`: a case that is known to fail, and exactly how: a strict xfail.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use crate::notation::{Id, Malformed};
use crate::reading::rule::MALFORMED_VALUE;
use crate::reading::{FromTable, Node, Reader, Scalar, Table, Value, value};

/// A known failure: it holds when exactly these findings are red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The case.
    pub case: KnownCase,
    /// The ids of the expectations that fail, no more and no less.
    pub findings: Vec<String>,
    /// Why they fail.
    pub why: String,
    /// The last day on which that is accepted.
    pub until: Option<NaiveDate>,
}

impl Known {
    /// Whether the failure is still accepted on that day.
    #[must_use]
    pub fn holds_on(&self, today: NaiveDate) -> bool {
        self.until.is_none_or(|until| today <= until)
    }
}

impl FromTable for Known {
    const LABEL: &'static str = "[[known]]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let case = table.required("case", "the case that fails: SCENARIO@TREE or SCENARIO/TWIN@TREE");
        let findings = table.required("findings", "the ids of the expectations that fail, all of them");
        let why = table.required("why", "why they fail, in one sentence");
        let until = table.optional("until", "the last day on which that is accepted: \"2026-12-31\"");
        Some(Self { case: case?, findings: findings?, why: why?, until })
    }
}

value!(table Known);

/// A scenario or a twin on a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownCase {
    /// The scenario.
    pub scenario: Id,
    /// The twin; none for the scenario as written.
    pub twin: Option<Id>,
    /// The tree.
    pub tree: Id,
}

impl FromStr for KnownCase {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let refused = || {
            Malformed::new(format!("`{text}` is not a case: expected SCENARIO@TREE or SCENARIO/TWIN@TREE"))
        };
        let (case, tree) = text.split_once('@').ok_or_else(refused)?;
        let (scenario, twin) =
            case.split_once('/').map_or((case, None), |(scenario, twin)| (scenario, Some(twin)));
        Ok(Self { scenario: scenario.parse()?, twin: twin.map(str::parse).transpose()?, tree: tree.parse()? })
    }
}

impl fmt::Display for KnownCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scenario)?;
        if let Some(twin) = &self.twin {
            write!(f, "/{twin}")?;
        }
        write!(f, "@{}", self.tree)
    }
}

impl JsonSchema for KnownCase {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KnownCase".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)?@[a-z0-9][a-z0-9-]*$",
            "description": "a case on a tree: hard-cap-kill@ssh, hard-cap-kill/cap-removed@ssh",
        })
    }
}

impl Scalar for KnownCase {
    const EXPECTING: &'static str = "a case such as \"hard-cap-kill@ssh\"";
}

value!(scalar KnownCase);

/// A day, as a text or as TOML's own date.
impl Value for NaiveDate {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let text = match node.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            _ => {
                reader.wrong_type(node, "a day such as \"2026-12-31\"");
                return None;
            }
        };
        let refused =
            |_| Malformed::new(format!("`{text}` is not a day: expected year, month and day, 2026-12-31"));
        reader.accept(MALFORMED_VALUE, Self::parse_from_str(&text, "%Y-%m-%d").map_err(refused), node.span())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("hard-cap-kill@ssh")]
    #[case("hard-cap-kill/cap-removed@ssh")]
    fn a_case_reads_back_as_it_was_written(#[case] text: &str) {
        assert_eq!(text.parse::<KnownCase>().map(|case| case.to_string()).as_deref(), Ok(text));
    }

    #[rstest]
    #[case("hard-cap-kill")]
    #[case("@ssh")]
    #[case("a/@ssh")]
    #[case("a@")]
    #[case("a@ssh/b")]
    fn half_a_case_is_refused(#[case] text: &str) {
        assert!(text.parse::<KnownCase>().is_err());
    }

    #[test]
    fn a_known_failure_holds_up_to_its_last_day() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let case: KnownCase = "a@b".parse().expect("a case");
        let known = Known {
            case,
            findings: vec!["x".to_owned()],
            why: "y".to_owned(),
            until: Some(day("2026-12-31")),
        };
        assert!(known.holds_on(day("2026-12-31")));
        assert!(!known.holds_on(day("2027-01-01")));
        assert!(Known { until: None, ..known }.holds_on(day("2099-01-01")));
    }
}
