//! `metric = … max-delta = …`: a number of the catalogue and the bounds it stays within.
//!
//! A bound is written in the metric's own unit, as a share of a declared limit, or as a share of what the same
//! statistic was in an earlier phase of the same run.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::Claim;
use super::family::{Claimed, Family, Mention, Mentions};
use crate::metric::{Metric, Unit};
use crate::notation::Malformed;
use crate::notation::bytes::Bytes;
use crate::notation::percent::Percent;
use crate::notation::span::Span;
use crate::reading::rule::{EXACTLY_ONE, MALFORMED_VALUE, MISPLACED_KEY, rules};
use crate::reading::{
    FromTable, Node, Reader, Table, Word, describe, object, read_entries, read_scalar, read_table,
    table_schema, value, word,
};
use crate::scenario::size::ShareOf;

rules! {
    Error NO_SHARE_OF_A_LIMIT = "no-share-of-a-limit",
        "A limit is a number of bytes, so only a metric in bytes can be bounded by a share of one. Write the bound in \
        the metric's own unit, or relative to an earlier phase.";
    Error METRIC_WITHOUT_BOUND = "metric-without-bound",
        "A metric alone claims nothing: it has some value in every run. Add a bound: `max` or `min` for every sample, \
        `max-delta` or `min-delta` for the change over the phase, `max-rate` or `min-rate` for the change a second.";
}

/// A stretch of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// All of it.
    #[default]
    Run,
    /// Before the balloons are released.
    Baseline,
    /// From the release until `[reached]` holds.
    Climb,
    /// From then to the end.
    Hold,
    /// From the release to the end.
    Stress,
}

/// A phase that is over while the run goes on, so that a later one can be compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlierPhase {
    /// As [`Phase::Baseline`].
    Baseline,
    /// As [`Phase::Climb`].
    Climb,
}

impl From<EarlierPhase> for Phase {
    fn from(phase: EarlierPhase) -> Self {
        match phase {
            EarlierPhase::Baseline => Self::Baseline,
            EarlierPhase::Climb => Self::Climb,
        }
    }
}

impl Word for EarlierPhase {
    const EXPECTING: &'static str = "a phase that is over by then";
    const WORDS: &'static [(&'static str, Self)] = &[("baseline", Self::Baseline), ("climb", Self::Climb)];
}

/// Which statistic of the metric is bounded, and from which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundKind {
    /// No sample is above it.
    Max,
    /// No sample is below it.
    Min,
    /// Last minus first sample is at most that.
    MaxDelta,
    /// Last minus first sample is at least that.
    MinDelta,
    /// The change a second is at most that.
    MaxRate,
    /// The change a second is at least that.
    MinRate,
}

impl BoundKind {
    /// Every kind with its key, in the order in which they are read.
    pub const ALL: [Self; 6] =
        [Self::Max, Self::Min, Self::MaxDelta, Self::MinDelta, Self::MaxRate, Self::MinRate];

    /// Whether the bound is an upper one.
    #[must_use]
    pub const fn is_upper(self) -> bool {
        matches!(self, Self::Max | Self::MaxDelta | Self::MaxRate)
    }

    /// Whether it bounds a change a second.
    #[must_use]
    pub const fn is_rate(self) -> bool {
        matches!(self, Self::MaxRate | Self::MinRate)
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Max => "no sample is above this",
            Self::Min => "no sample is below this",
            Self::MaxDelta => "last minus first sample is at most this",
            Self::MinDelta => "last minus first sample is at least this",
            Self::MaxRate => "the change a second is at most this",
            Self::MinRate => "the change a second is at least this",
        }
    }
}

impl Word for BoundKind {
    const EXPECTING: &'static str = "a bound";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("max", Self::Max),
        ("min", Self::Min),
        ("max-delta", Self::MaxDelta),
        ("min-delta", Self::MinDelta),
        ("max-rate", Self::MaxRate),
        ("min-rate", Self::MinRate),
    ];
}

impl fmt::Display for BoundKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(*self))
    }
}

/// A number with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Bytes, or bytes a second.
    Bytes(Bytes),
    /// Things, or things a second.
    Count(u64),
    /// A time.
    Duration(Span),
    /// A share of wall time: the rate of a metric that counts time.
    Share(Percent),
    /// Hundredths: a load of 1.25 is 125.
    Hundredths(u64),
}

impl Quantity {
    /// The number to compare with samples: bytes, things, microseconds (a share: microseconds a second) or hundredths.
    #[must_use]
    pub fn raw(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.0,
            Self::Count(number) | Self::Hundredths(number) => number,
            Self::Duration(span) => span.0,
            Self::Share(share) => share.of(1_000_000),
        }
    }

    fn read(unit: Unit, kind: BoundKind, node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match (unit, kind.is_rate()) {
            (Unit::Bytes, _) => read_scalar(node, reader).map(Self::Bytes),
            (Unit::Count, _) => count(node, reader).map(Self::Count),
            (Unit::Duration, false) => read_scalar(node, reader).map(Self::Duration),
            (Unit::Duration, true) => read_scalar(node, reader).map(Self::Share),
            (Unit::Hundredths, _) => {
                // A percentage is a number with two decimals, which is all that a load average has.
                read_scalar::<Percent>(node, reader).map(|number| Self::Hundredths(number.0.into()))
            }
        }
    }
}

fn count(node: &Node<'_>, reader: &mut Reader) -> Option<u64> {
    let text = match node.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        _ => {
            reader.wrong_type(node, "a whole number");
            return None;
        }
    };
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| plain);
    reader.accept(
        MALFORMED_VALUE,
        number.ok_or_else(|| Malformed::new(format!("`{text}` is not a whole number"))),
        node.span(),
    )
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Count(number) => number.fmt(f),
            Self::Duration(span) => span.fmt(f),
            Self::Share(share) => share.fmt(f),
            Self::Hundredths(number) => write!(f, "{}.{:02}", number / 100, number % 100),
        }
    }
}

/// What a bound compares with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundValue {
    /// A fixed number.
    Exact(Quantity),
    /// A share of a declared limit.
    Limit(ShareOf),
    /// A share of what the same statistic was in another phase.
    Phase(ShareOfPhase),
}

/// A share of what the same statistic was in another phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareOfPhase {
    /// How much of it; above 100 % for "at most twice as much".
    pub percent: Percent,
    /// Over by the time it is compared with.
    pub of_phase: EarlierPhase,
}

impl FromTable for ShareOfPhase {
    const LABEL: &'static str = "a relative bound";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let percent = table.required("percent", "how much of it, such as 200");
        let of_phase = table.required("of-phase", "`baseline` or `climb`");
        Some(Self { percent: percent?, of_phase: of_phase? })
    }
}

impl BoundValue {
    fn read(metric: &Metric, kind: BoundKind, node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let Some(entries) = node.get_ref().as_table() else {
            return Quantity::read(metric.info.unit, kind, node, reader).map(Self::Exact);
        };
        if entries.get("of-phase").is_some() {
            return read_table(node, reader).map(Self::Phase);
        }
        let share: ShareOf =
            read_entries("a relative bound", node.span(), entries, reader, ShareOf::from_table)?;
        if metric.info.unit != Unit::Bytes {
            reader.report(
                NO_SHARE_OF_A_LIMIT,
                node.span(),
                format!("`{metric}` is a {}: it has no share of a limit", metric.info.unit),
            );
            return None;
        }
        Some(Self::Limit(share))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let limit = table_schema::<ShareOf>(generator);
        let phase = object(describe(generator, ShareOfPhase::from_table));
        json_schema!({ "anyOf": [{ "type": ["string", "number"], "minimum": 0 }, limit, phase] })
    }
}

impl fmt::Display for BoundValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(quantity) => quantity.fmt(f),
            Self::Limit(share) => share.fmt(f),
            Self::Phase(share) => write!(f, "{} of the {}", share.percent, word(share.of_phase)),
        }
    }
}

/// One bound of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Which statistic, from which side.
    pub kind: BoundKind,
    /// The number.
    pub value: BoundValue,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.value)
    }
}

pub(super) const FAMILY: Family = Family {
    name: "metric",
    purpose: "a number of the catalogue, with at least one bound",
    read: |_, table| MetricClaim::read_keys(table).map(Claim::Metric),
    about: "A number of the catalogue stays within its bounds during the phase. `max` and `min` bound every \
        sample, `max-delta` and `min-delta` the last minus the first sample, `max-rate` and `min-rate` the \
        change a second (for a metric that counts time: the share of wall time). A bound may be relative to \
        a declared limit, always as the file declares it, or to the same statistic in an earlier phase of \
        the same run, which is the only honest bound for latencies on an emulated machine. A sample that \
        could not be read makes it inconclusive, never a pass.",
    example: "metric = \"canary:gap.p99\"\nmax = { percent = 200, of-phase = \"baseline\" }\nduring = \"stress\"",
};

/// A metric that stays within bounds during a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricClaim {
    /// The metric.
    pub metric: Metric,
    /// At least one bound.
    pub bounds: Vec<Bound>,
    /// When it is looked at.
    pub during: Phase,
}

impl MetricClaim {
    /// Reads the keys of a metric claim from the table of its expectation; `None` without `metric`.
    fn read_keys(table: &mut Table<'_, '_>) -> Option<Self> {
        let metric: Option<Metric> = FAMILY.ask(table);
        let bounds = read_bounds(table, metric.as_ref(), &BoundKind::ALL);
        let during = table.optional("during", "the phase it is looked at, `run` by default");
        if table.key_span("metric").is_none() {
            for key in bound_keys(&BoundKind::ALL).into_iter().chain(["during"]) {
                if let Some(span) = table.key_span(key) {
                    table.reader.report(
                        MISPLACED_KEY,
                        span,
                        format!("`{key}` belongs to a `metric`, and there is none here"),
                    );
                }
            }
            return None;
        }
        if !has_bound(table, &BoundKind::ALL) {
            let span = table.key_span("metric").unwrap_or(table.span.clone());
            let problem =
                table.reader.report(METRIC_WITHOUT_BOUND, span, "a metric without a bound claims nothing");
            problem.help.push(format!("add at least one of: {}", bound_keys(&BoundKind::ALL).join(", ")));
            return None;
        }
        Some(Self { metric: metric?, bounds, during: during.unwrap_or_default() })
    }
}

impl Claimed for MetricClaim {
    fn mentions<'c>(&'c self, key: &'c str) -> Mentions<'c> {
        let limit = |bound: &'c Bound| match &bound.value {
            BoundValue::Limit(share) => {
                Some((vec![word(bound.kind).into(), "of".into()], Mention::Limit(&share.of)))
            }
            BoundValue::Exact(_) | BoundValue::Phase(_) => None,
        };
        let metric = (vec![key.into()], Mention::Metric(&self.metric));
        [metric].into_iter().chain(self.bounds.iter().filter_map(limit)).collect()
    }
}

fn bound_keys(kinds: &[BoundKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| word(*kind)).collect()
}

fn has_bound(table: &Table<'_, '_>, kinds: &[BoundKind]) -> bool {
    table.describes() || bound_keys(kinds).iter().any(|key| table.key_span(key).is_some())
}

fn read_bounds(table: &mut Table<'_, '_>, metric: Option<&Metric>, kinds: &[BoundKind]) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for kind in kinds {
        let node = table.node(word(*kind), false, kind.about(), BoundValue::schema);
        if let (Some(node), Some(metric)) = (node, metric)
            && let Some(value) = BoundValue::read(metric, *kind, node, table.reader)
        {
            bounds.push(Bound { kind: *kind, value });
        }
    }
    bounds
}

/// `[reached]`: how it is known that the stress arrived. If it did not, the verdict is `inconclusive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The metric that is watched.
    pub metric: Metric,
    /// `min` or `max`; for a counter of the host, of its growth since the release.
    pub bound: Bound,
    /// Counted from the release of the balloons.
    pub within: Span,
}

impl FromTable for Reached {
    const LABEL: &'static str = "[reached]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        const KINDS: [BoundKind; 2] = [BoundKind::Max, BoundKind::Min];
        let metric: Option<Metric> =
            table.required("metric", "the number that shows that the stress arrived");
        let mut bounds = read_bounds(table, metric.as_ref(), &KINDS);
        let within = table.required("within", "counted from the release of the balloons");
        let given = KINDS.iter().filter(|kind| table.key_span(word(**kind)).is_some()).count();
        if given != 1 && !table.describes() {
            let span = table.span.clone();
            table.reader.report(EXACTLY_ONE, span, "[reached] needs exactly one of `min` and `max`");
            return None;
        }
        Some(Self { metric: metric?, bound: bounds.pop()?, within: within? })
    }
}

value!(table Reached);

value!(table ShareOfPhase);
