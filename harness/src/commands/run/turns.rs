//! Whose turn it is to put its machine under stress: set-up, hold and the end leave processors free, the baseline must be
//! quiet, and a climb takes all that a machine has.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Says who may begin, and when.
#[derive(Debug)]
pub(super) struct Turns {
    line: Mutex<Line>,
    changed: Condvar,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    ticket: u64,
}

impl Turns {
    /// On a machine with so many processors, of which each guest has so many.
    pub(super) fn of(processors: usize, each: usize) -> Self {
        Self { line: Mutex::new(Line::of(processors, each)), changed: Condvar::new() }
    }

    /// Waits for a turn; who has come first has it first.
    pub(super) fn take(&self) -> Turn<'_> {
        let mut line = self.lock();
        let ticket = line.join();
        while !line.may_begin(ticket) {
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { turns: self, ticket }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().leave(self.ticket);
        self.turns.changed.notify_all();
    }
}

/// Those whose turn it is, and behind them those who wait.
#[derive(Debug)]
struct Line {
    /// How many have processors to themselves at once.
    places: usize,
    tickets: VecDeque<u64>,
    next: u64,
}

impl Line {
    fn of(processors: usize, each: usize) -> Self {
        Self { places: (processors / each.max(1)).max(1), tickets: VecDeque::new(), next: 0 }
    }

    fn join(&mut self) -> u64 {
        self.next += 1;
        self.tickets.push_back(self.next);
        self.next
    }

    fn leave(&mut self, ticket: u64) {
        self.tickets.retain(|other| *other != ticket);
    }

    fn may_begin(&self, ticket: u64) -> bool {
        self.tickets.iter().take(self.places).any(|other| *other == ticket)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_many_as_a_guest_has(2, 2, 1)]
    #[case::fewer_than_a_guest_has(1, 2, 1)]
    #[case::one_left_over(3, 2, 1)]
    #[case::room_for_four(8, 2, 4)]
    #[case::a_guest_with_one(2, 1, 2)]
    fn as_many_begin_as_have_processors_to_themselves(
        #[case] processors: usize,
        #[case] each: usize,
        #[case] places: usize,
    ) {
        let mut line = Line::of(processors, each);
        let tickets: Vec<u64> = (0..6).map(|_| line.join()).collect();
        let begun = tickets.iter().filter(|ticket| line.may_begin(**ticket)).count();
        assert_eq!(begun, places);
    }

    #[test]
    fn the_turn_passes_on_in_the_order_of_those_who_wait() {
        let mut line = Line::of(2, 2);
        let [first, second, third] = [line.join(), line.join(), line.join()];
        assert_eq!([first, second, third].map(|ticket| line.may_begin(ticket)), [true, false, false]);
        // One that has waited and is gone, as a machine that is lost, holds nobody up.
        line.leave(second);
        assert!(!line.may_begin(third));
        line.leave(first);
        assert!(line.may_begin(third));
    }

    #[test]
    fn a_turn_that_is_over_wakes_the_next() {
        let turns = Turns::of(2, 2);
        let first = turns.take();
        thread::scope(|scope| {
            let second = scope.spawn(|| drop(turns.take()));
            drop(first);
            second.join().expect("no panic");
        });
    }
}
