//! Every metric there is, with its unit, its source and its traps.
//!
//! A metric is one row of the tables below: the parser, the schema, `bulkhead explain`, the columns of the sample file and
//! the files that are read for them all follow from it. What the judge computes has its way of doing so in the judge.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::source::{Field, Source};

pub(super) mod actor;
pub(super) mod cgroup;
pub(super) mod host;

/// What kind of thing a metric belongs to, and is read from.
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

/// What is known about a metric: one row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct MetricInfo {
    /// The name after the colon.
    pub name: &'static str,
    /// What it belongs to.
    pub subject: SubjectKind,
    /// What the number counts.
    pub unit: Unit,
    /// How the number moves.
    pub course: Course,
    /// Where it is read, and how.
    pub source: Source,
    /// The first kernel that has it; `None` for all that are supported.
    pub since_kernel: Option<(u16, u16)>,
    /// What it means and how it misleads.
    pub about: &'static str,
}

impl MetricInfo {
    const fn new(
        name: &'static str,
        subject: SubjectKind,
        unit: Unit,
        course: Course,
        source: Source,
        about: &'static str,
    ) -> Self {
        Self { name, subject, unit, course, source, since_kernel: None, about }
    }

    const fn since(self, major: u16, minor: u16) -> Self {
        Self { since_kernel: Some((major, minor)), ..self }
    }
}

/// Every metric, grouped by subject.
#[must_use]
pub fn catalogue() -> &'static [MetricInfo] {
    static ALL: LazyLock<Vec<MetricInfo>> =
        LazyLock::new(|| [cgroup::METRICS, host::METRICS, actor::METRICS].concat());
    &ALL
}

/// The metrics that are columns of the sample file for each subject of a kind, in their order.
pub fn columns(subject: SubjectKind) -> impl Iterator<Item = &'static MetricInfo> {
    let sampled = |info: &&MetricInfo| !matches!(info.source, Source::Judge(_));
    catalogue().iter().filter(move |info| info.subject == subject).filter(sampled)
}

/// The kernel files behind the columns of a kind of subject, each with the numbers wanted of it: in their order, what is
/// read fills a row.
#[must_use]
pub fn files(subject: SubjectKind) -> Vec<(&'static str, Vec<Field>)> {
    let mut files: Vec<(&str, Vec<Field>)> = Vec::new();
    for info in columns(subject) {
        let Source::File(file, field) = info.source else { continue };
        match files.last_mut().filter(|(last, _)| *last == file) {
            Some((_, fields)) => fields.push(field),
            None => files.push((file, vec![field])),
        }
    }
    files
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
