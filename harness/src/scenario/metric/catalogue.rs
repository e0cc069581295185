//! Every metric there is, with its unit, its source and its traps.
//!
//! A metric is added in one of the tables below and nowhere else: the parser, the schema, `bulkhead explain` and the
//! sample columns all read them.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

mod actor;
mod cgroup;
mod host;

/// What kind of thing a metric belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// A declared cgroup; the source is a file of its directory.
    Cgroup,
    /// The whole machine.
    Host,
    /// An actor; the source is its status page.
    Actor,
    /// The probes of `[protect]`.
    Protect,
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup => "a cgroup",
            Self::Host => "the host",
            Self::Actor => "an actor",
            Self::Protect => "the protected probes",
        })
    }
}

/// What the number counts. All numbers are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Microseconds.
    #[serde(rename = "microseconds")]
    Duration,
    /// Hundredths: a load of 1.25 is 125.
    Hundredths,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Duration => "duration",
            Self::Hundredths => "number with two decimals",
        })
    }
}

/// How the number moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Up and down.
    Gauge,
    /// Only up: a running total. A cgroup's begins at 0 when it is made, the host's at boot.
    Counter,
    /// Only up: the highest so far.
    Peak,
    /// Computed over a whole phase, and no column of the sample file.
    Statistic,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gauge => "gauge",
            Self::Counter => "cumulative counter",
            Self::Peak => "highest so far",
            Self::Statistic => "statistic over a phase",
        })
    }
}

/// What is known about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// The name after the colon.
    pub name: &'static str,
    /// What it belongs to.
    pub subject: SubjectKind,
    /// What the number counts.
    pub unit: Unit,
    /// How the number moves.
    pub course: Course,
    /// The file (and field) it is read from.
    pub source: &'static str,
    /// The first kernel that has it; `None` for all that are supported.
    pub since_kernel: Option<(u16, u16)>,
    /// What it means and how it misleads.
    pub about: &'static str,
}

/// Every metric, grouped by subject.
#[must_use]
pub fn catalogue() -> &'static [MetricInfo] {
    static ALL: LazyLock<Vec<MetricInfo>> =
        LazyLock::new(|| [cgroup::METRICS, host::METRICS, actor::METRICS].concat());
    &ALL
}

const fn row(
    name: &'static str,
    subject: SubjectKind,
    unit: Unit,
    course: Course,
    source: &'static str,
    about: &'static str,
) -> MetricInfo {
    MetricInfo { name, subject, unit, course, source, since_kernel: None, about }
}

const fn from_kernel(major: u16, minor: u16, info: MetricInfo) -> MetricInfo {
    MetricInfo { since_kernel: Some((major, minor)), ..info }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_there_once_and_explained() {
        for (index, info) in catalogue().iter().enumerate() {
            let same = |other: &MetricInfo| other.name == info.name && other.subject == info.subject;
            assert!(!catalogue()[..index].iter().any(same), "{} is there twice", info.name);
            assert!(info.about.ends_with('.') && info.about.len() > 20, "{} is not explained", info.name);
        }
    }

    /// The parser tells cgroups from actors by the metric's name alone.
    #[test]
    fn no_metric_belongs_to_cgroups_and_to_actors() {
        let names = |kind| catalogue().iter().filter(move |info| info.subject == kind).map(|info| info.name);
        assert!(!names(SubjectKind::Cgroup).any(|name| names(SubjectKind::Actor).any(|other| other == name)));
    }
}
