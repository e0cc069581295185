//! `work:memory.peak` → a metric of the closed catalogue, with the subject it is read from.
//!
//! The same text is the column of the sample file. The subject is only split off here; whether such a cgroup or actor
//! is declared is checked where the whole scenario is known.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::id::Id;
use crate::notation::suggest::nearest;
use crate::reading::rule::{Rule, rules};
use crate::reading::{Scalar, value};

mod catalogue;
pub mod column;
mod source;

pub use catalogue::{Course, MetricInfo, SubjectKind, Unit, catalogue, columns, files};
pub use column::Column;
pub use source::{Derived, Field, Source};

rules! {
    Error UNKNOWN_METRIC = "unknown-metric",
        "There is no such metric, or not of such a subject. A metric is written SUBJECT:NAME, where the subject is a \
        declared cgroup, `host`, an actor or `protect`. The set is closed, because each name stands for one file of \
        the kernel and one way to read it; `bulkhead explain` lists them all.";
}

/// What a metric is read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The whole machine.
    Host,
    /// The probes of `[protect]`.
    Protect,
    /// A declared cgroup.
    Cgroup(Id),
    /// An actor, by its status page.
    Actor(Id),
}

impl Subject {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Host => "host",
            Self::Protect => "protect",
            Self::Cgroup(id) | Self::Actor(id) => id,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One metric of one subject. `Display` is the name in scenario files and the column in the sample file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Metric {
    /// Where it is read.
    pub subject: Subject,
    /// What is known about it.
    pub info: &'static MetricInfo,
    /// For `answer.N`: N, counted from 1 in the order of `[protect] answer`. 0 for every other metric.
    pub probe: usize,
}

impl Metric {
    /// The name without the subject: `memory.peak`, `answer.1`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.probe {
            0 => self.info.name.to_owned(),
            probe => self.info.name.replace('N', &probe.to_string()),
        }
    }

    /// Its column of the sample file; what the judge computes has none of this name.
    #[must_use]
    pub fn column(&self) -> Column<'_> {
        self.info.of(self.subject.as_str())
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.subject == other.subject && self.info.name == other.info.name && self.probe == other.probe
    }
}

impl Eq for Metric {}

impl FromStr for Metric {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let Some((subject, name)) = text.split_once(':') else {
            let near = nearest(text, catalogue().iter().map(|info| info.name));
            let hint = near.map(|name| format!("SUBJECT:{name}"));
            return Err(Malformed::new(format!(
                "`{text}` is not a metric: expected SUBJECT:METRIC, such as work:memory.peak or host:swap.out"
            ))
            .suggest(hint));
        };
        let kinds: &[SubjectKind] = match subject {
            "host" => &[SubjectKind::Host],
            "protect" => &[SubjectKind::Protect],
            _ => &[SubjectKind::Cgroup, SubjectKind::Actor],
        };
        let known = |info: &&MetricInfo| kinds.contains(&info.subject);
        let (wanted, probe) = split_probe(name);
        let Some(info) = catalogue().iter().filter(known).find(|info| info.name == wanted) else {
            return Err(unknown(subject, name, kinds));
        };
        let subject = match info.subject {
            SubjectKind::Host => Subject::Host,
            SubjectKind::Protect => Subject::Protect,
            SubjectKind::Cgroup => Subject::Cgroup(subject.parse()?),
            SubjectKind::Actor => Subject::Actor(subject.parse()?),
        };
        Ok(Self { subject, info, probe })
    }
}

/// `answer.2` is the metric `answer.N` of probe 2.
fn split_probe(name: &str) -> (&str, usize) {
    let number = name.strip_prefix("answer.").filter(|number| !number.starts_with(['0', '+']));
    match number.and_then(|number| number.parse().ok()) {
        Some(probe) => ("answer.N", probe),
        None => (name, 0),
    }
}

fn unknown(subject: &str, name: &str, kinds: &[SubjectKind]) -> Malformed {
    let fitting = catalogue().iter().filter(|info| kinds.contains(&info.subject)).map(|info| info.name);
    let near = nearest(name, fitting).map(|near| format!("{subject}:{}", near.replace('N', "1")));
    let elsewhere = catalogue().iter().find(|info| info.name == name);
    let message = match (subject, elsewhere) {
        (_, Some(info)) => format!("`{name}` is a metric of {}, not of {subject}", info.subject),
        ("host" | "protect", None) => format!("`{subject}` has no metric `{name}`"),
        (_, None) => format!("no cgroup and no actor has a metric `{name}`"),
    };
    Malformed::new(message).suggest(near)
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.subject, self.name())
    }
}

impl TryFrom<String> for Metric {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.to_string()
    }
}

impl JsonSchema for Metric {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metric".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = catalogue()
            .iter()
            .map(|info| info.name.replace('.', "\\.").replace("answer\\.N", "answer\\.[1-9][0-9]*"))
            .collect();
        json_schema!({
            "type": "string",
            "pattern": format!("^[a-z0-9][a-z0-9-]*:({})$", names.join("|")),
            "description": "SUBJECT:METRIC, where SUBJECT is a declared cgroup, an actor, `host` or `protect`",
        })
    }
}

impl Scalar for Metric {
    const EXPECTING: &'static str = "a metric such as \"work:memory.peak\"";
    const RULE: &'static Rule = UNKNOWN_METRIC;
}

value!(scalar Metric);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("work:memory.peak", Unit::Bytes, Course::Peak)]
    #[case("host:swap.out", Unit::Bytes, Course::Counter)]
    #[case("canary:gap.p99", Unit::Duration, Course::Statistic)]
    #[case("protect:answer.12", Unit::Duration, Course::Gauge)]
    #[case("work:memory.events.local.oom_kill", Unit::Count, Course::Counter)]
    fn a_metric_knows_its_unit_and_course(#[case] text: &str, #[case] unit: Unit, #[case] course: Course) {
        let metric: Metric = text.parse().unwrap();
        assert_eq!((metric.info.unit, metric.info.course), (unit, course));
        assert_eq!(metric.to_string(), text);
    }

    #[rstest]
    #[case("work:memory.peek", Some("work:memory.peak"))]
    #[case("work:oom_kil", Some("work:memory.events.oom_kill"))]
    #[case("host:swap_out", Some("host:swap.out"))]
    #[case("host:memory.peak", None)]
    #[case("hog:touched_", Some("hog:touched"))]
    #[case("memory.peak", Some("SUBJECT:memory.peak"))]
    #[case("Work:memory.peak", Some("work"))]
    #[case("protect:answer.0", Some("protect:answer.1"))]
    #[case("protect:answer.+1", Some("protect:answer.1"))]
    #[case(":memory.peak", None)]
    fn an_unknown_metric_is_refused(#[case] text: &str, #[case] suggestion: Option<&str>) {
        let refused = text.parse::<Metric>().unwrap_err();
        assert_eq!(refused.suggestion.as_deref(), suggestion, "{refused}");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(index in 0..catalogue().len(), probe in 1_usize..1000) {
            let info = &catalogue()[index];
            let subject = match info.subject {
                SubjectKind::Host => "host",
                SubjectKind::Protect => "protect",
                SubjectKind::Cgroup | SubjectKind::Actor => "x",
            };
            let text = format!("{subject}:{}", info.name.replace("answer.N", &format!("answer.{probe}")));
            prop_assert_eq!(text.parse::<Metric>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(host|protect|work)?:?\\PC{0,20}") {
            let _ = text.parse::<Metric>();
        }
    }
}
