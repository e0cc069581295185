//! A record → what happened when, in full, on one axis of time: milliseconds from the first event. A report carries only
//! what it renders of it; who wants more reads the record in the same way.

use reports::report::Phase;

use crate::metric::Column;
use crate::record::event::{AnswerResult, Mark};
use crate::record::{Event, Record};

/// A record by its own time.
#[derive(Debug, Clone, Copy)]
pub struct Timeline<'a> {
    record: &'a Record,
    /// The first event, µs.
    began_us: u64,
    /// The last one, µs.
    ended_us: u64,
}

impl<'a> Timeline<'a> {
    /// The time of a record runs from its first event to its last one.
    #[must_use]
    pub fn of(record: &'a Record) -> Self {
        let at = |stamped: Option<&crate::record::Stamped>| stamped.map_or(0, |stamped| stamped.at_us);
        Self { record, began_us: at(record.events.first()), ended_us: at(record.events.last()) }
    }

    fn ms(&self, at_us: u64) -> u64 {
        at_us.saturating_sub(self.began_us) / 1000
    }

    /// How long all of it took.
    #[must_use]
    pub fn took_ms(&self) -> u64 {
        self.ms(self.ended_us)
    }

    /// What happened, each with its time.
    pub fn events(&self) -> impl Iterator<Item = (u64, &'a Event)> {
        let timeline = *self;
        timeline.record.events.iter().map(move |stamped| (timeline.ms(stamped.at_us), &stamped.event))
    }

    /// The parts of the run: each lasts until the next one begins, the last one until the end.
    #[must_use]
    pub fn phases(&self) -> Vec<Phase> {
        let marks: Vec<(u64, Mark)> = self
            .events()
            .filter_map(|(at, event)| match event {
                Event::Phase { phase } => Some((at, *phase)),
                _ => None,
            })
            .collect();
        let ends = marks.iter().skip(1).map(|(at, _)| *at).chain([self.took_ms()]);
        let phase = |((start_ms, mark), end_ms): (&(u64, Mark), u64)| Phase {
            name: format!("{mark:?}").to_lowercase(),
            start_ms: *start_ms,
            end_ms,
        };
        marks.iter().zip(ends).map(phase).collect()
    }

    /// Every reading of a column.
    #[must_use]
    pub fn course(&self, column: Column<'_>) -> Vec<(u64, u64)> {
        self.record.samples.series(&column.to_string()).map(|(at, value)| (self.ms(at), value)).collect()
    }

    /// What each probe of `[protect]` was told and when: its number in the plan, and the answer.
    pub fn answers(&self) -> impl Iterator<Item = (u64, usize, &'a AnswerResult)> {
        self.events().filter_map(|(at, event)| match event {
            Event::Answer { probe, result, .. } => Some((at, *probe, result)),
            _ => None,
        })
    }
}
