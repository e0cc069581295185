//! Metrics of the actors, from their status pages, and of the probes that outside services answer.

use balloon::status::Snapshot;

use super::Course::{Counter, Gauge, Peak, Statistic};
use super::SubjectKind::{Actor, Protect};
use super::Unit::{Bytes, Count, Duration};
use super::{Course, MetricInfo, SubjectKind, Unit};
use crate::metric::source::Derived::{self, Answers, Gaps};
use crate::metric::source::Source;

pub(in crate::metric) const METRICS: &[MetricInfo] = &[
    cell(
        "touched",
        Bytes,
        Gauge,
        |page| page.touched,
        "Bytes the actor holds by its own account. The page outlives the process, so this is still \
         readable after a kill.",
    ),
    cell("steps", Count, Counter, |page| page.steps, "Steps of allocation the actor finished: its progress."),
    judged(
        "gap.p99",
        Actor,
        Duration,
        Statistic,
        Gaps,
        "How late 99 of 100 wake-ups (or steps, for a balloon) came at most, over the phase that \
         `during` names. From a histogram with logarithmic buckets, so it is the upper bound of a \
         bucket. On emulated machines compare it with the actor's own baseline, never with a fixed \
         time.",
    ),
    MetricInfo::new(
        "gap.max",
        Actor,
        Duration,
        Peak,
        Source::LongestGap(|page| page.gap_max_ns / 1000),
        "The latest wake-up (or the longest step) so far.",
    ),
    cell(
        "wakeups",
        Count,
        Counter,
        |page| page.wakeups,
        "Beats of a heartbeat, passes of a writer or reader.",
    ),
    cell("accepted", Count, Counter, |page| page.accepted, "Connections a tcp-server accepted and answered."),
    cell(
        "minor_faults",
        Count,
        Counter,
        |page| page.minor_faults,
        "Page faults of the actor that needed no disk.",
    ),
    cell(
        "major_faults",
        Count,
        Counter,
        |page| page.major_faults,
        "Page faults of the actor that had to read from disk or swap, its own code included.",
    ),
    cell(
        "step.max",
        Duration,
        Peak,
        |page| page.step_max_ns / 1000,
        "The longest single step of allocation so far.",
    ),
    judged(
        "answer.N",
        Protect,
        Duration,
        Gauge,
        Answers,
        "How long the Nth probe of `[protect] answer` (counted from 1) waited for its answer. A probe \
         that gave up counts with the time that it waited, a refused one as longer than anything. The \
         first answer of a run is left out: it pays for what nobody had asked for since the machine \
         booted.",
    ),
];

const fn cell(
    name: &'static str,
    unit: Unit,
    course: Course,
    read: fn(&Snapshot) -> u64,
    about: &'static str,
) -> MetricInfo {
    MetricInfo::new(name, Actor, unit, course, Source::Page(read), about)
}

const fn judged(
    name: &'static str,
    subject: SubjectKind,
    unit: Unit,
    course: Course,
    from: Derived,
    about: &'static str,
) -> MetricInfo {
    MetricInfo::new(name, subject, unit, course, Source::Judge(from), about)
}
