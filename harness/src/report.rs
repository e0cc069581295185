//! A record and its judgement → the published case. The only converter; renderers compute nothing.

mod headline;
mod invocation;
mod judged;
pub mod timeline;

use std::path::Path;

use reports::number::Unit;
use reports::report::{Case, Point, Role, Series};

use crate::judge::{Judgement, starved};
use crate::metric::column::{HOST_SWAP_USED, MEMORY_CURRENT};
use crate::plan::Plan;
use crate::record::event::EndReason;
use crate::record::{Event, Record};
use headline::headline;
pub use invocation::{TROUBLE, exit_code, judged_below, report};
pub use judged::Judged;
use timeline::Timeline;

/// Points kept of a course, at most: two or more for each column of the widest curve, so that none of them is a gap.
const POINTS: usize = 120;

/// Converts one run.
#[must_use]
pub fn case(record: &Record, judgement: &Judgement, dir: &Path) -> Case {
    let head = &record.head;
    let id = head.id();
    let role = match &id.twin {
        None => Role::Base,
        Some(id) => Role::Twin { id: id.clone(), must_fail: head.must_fail.clone() },
    };
    let timeline = Timeline::of(record);
    let plan = head.plan.as_ref();
    Case {
        scenario: id.scenario.clone(),
        title: head.title.clone(),
        source: head.source.clone(),
        role,
        machine: id.machine.clone(),
        guest: head.guest.as_ref().map(|guest| guest.name.clone()),
        policy: id.policy.clone(),
        tree: id.tree.clone(),
        run: id.run,
        verdict: judgement.verdict,
        raw_verdict: judgement.raw_verdict,
        reason: judgement.reason.clone(),
        headline: headline(record, &timeline, judgement),
        findings: judgement.findings.clone(),
        kills: judgement.kills.clone(),
        phases: plan.map(|_| timeline.phases()).unwrap_or_default(),
        series: plan.map(|plan| courses(plan, &timeline)).unwrap_or_default(),
        took_ms: timeline.took_ms(),
        record_path: Some(dir.display().to_string()),
        command: id.command(),
        warnings: warnings(record),
        console: console(record),
        cleanup: judgement.cleanup.clone(),
    }
}

/// The courses worth a sparkline: memory of each declared cgroup against its cap, swap of the host.
fn courses(plan: &Plan, timeline: &Timeline<'_>) -> Vec<Series> {
    let memory = plan
        .cgroups
        .iter()
        .map(|cgroup| (MEMORY_CURRENT.of(&cgroup.name), cgroup.cap().map(|bytes| bytes as f64)));
    let swap = (HOST_SWAP_USED, None);
    memory
        .chain([swap])
        .map(|(column, cap)| {
            let points = thinned(&timeline.course(column));
            Series { metric: column.to_string(), unit: Unit::Bytes, cap, points }
        })
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// As many points as are shown. The largest of each group is kept: a peak must not vanish between them.
fn thinned(course: &[(u64, u64)]) -> Vec<Point> {
    let step = course.len().div_ceil(POINTS).max(1);
    let largest = |group: &[(u64, u64)]| group.iter().max_by_key(|(_, value)| *value).copied();
    let point = |(at_ms, value)| Point { at_ms, value: Some(value as f64) };
    course.chunks(step).filter_map(largest).map(point).collect()
}

fn warnings(record: &Record) -> Vec<String> {
    let starved = starved(record).map(|waited| {
        format!("the VM waited for host CPUs for {waited} % of the run; use a quieter host or fewer --jobs")
    });
    let seen = record.events.iter().filter_map(|stamped| match &stamped.event {
        Event::KernelLogLost { records } => Some(format!("{records} kernel log records were lost")),
        Event::KernelLogUnavailable { reason } => Some(format!("the kernel log could not be read: {reason}")),
        Event::Trouble { step, error } => Some(format!("{step}: {error}")),
        Event::SelfUse { max_late_us, .. } if *max_late_us > 500_000 => {
            Some(format!("the sampler was up to {:.2} s late", *max_late_us as f64 / 1e6))
        }
        _ => None,
    });
    starved.into_iter().chain(record.damage.iter().cloned()).chain(seen).collect()
}

fn console(record: &Record) -> Vec<String> {
    record
        .events
        .iter()
        .find_map(|stamped| match &stamped.event {
            Event::Ended { reason: EndReason::MachineLost { console, .. } } => {
                Some(console.lines().map(str::to_owned).collect())
            }
            _ => None,
        })
        .unwrap_or_default()
}
