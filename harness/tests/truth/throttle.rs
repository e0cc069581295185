//! Lies about throttled cgroups: beats that nobody woke for, and livelocks that something else hides.

use harness::kmsg::oom::Scope;
use harness::record::Event;
use harness::record::event::{ActorEnd, Mark};

use crate::Lie;
use crate::table::{GREEN, NOT_PASS, OPEN, RED, lie};

/// The runaway of a service dies at its cap, and its neighbours do not notice.
const FREE: &str = "throttle-band-livelock@trixie";
/// Its twin with a band, in which everybody who charges stalls.
const BAND: &str = "throttle-band-livelock.band@trixie";
/// A runaway past its soft cap crawls, and harms nobody outside.
const CRAWLS: &str = "soft-cap-throttle@trixie";
/// The hog's cap is gone: that of the harness takes it.
const REMOVED: &str = "hard-cap-kill.cap-removed@trixie";

pub(crate) const TABLE: &[Lie] = &[
    // A livelock stays one, whatever else happens; the twin is red for its own reason.
    lie("a livelock beside an unrelated kill", BAND, GREEN, |tale| {
        let at = tale.mark(Mark::Hold) + 2_000_000;
        tale.counts("app:memory.events.oom_kill", at, 1);
        tale.kernel_logs_kill(at, Scope::Memcg, 4242, "builder");
    }),
    lie("a livelock with a neighbour that keeps full down", BAND, GREEN, |tale| {
        tale.column("app:memory.pressure.full", |_, value| value.map(|_| 0));
    }),
    lie("a livelock whose stress arrived long before the band", BAND, GREEN, |tale| {
        let early = tale.mark(Mark::Climb) + 300_000;
        tale.drop(|stamped| matches!(stamped.event, Event::Phase { phase: Mark::Hold }));
        tale.add(early, Event::Phase { phase: Mark::Hold });
        tale.plan_mut().hold_us = 0;
    }),
    lie("a band in which the hog makes progress", BAND, NOT_PASS, |tale| {
        let hold = tale.mark(Mark::Hold);
        // A hog that wants more than it can have, and takes 20 MB/s of it.
        tale.plan_mut()
            .actors
            .iter_mut()
            .filter(|actor| actor.id == "hog")
            .for_each(|hog| hog.total = Some(u64::MAX));
        tale.column("hog:touched", |at, value| Some(value? + at.saturating_sub(hold) * 20));
    }),
    lie("a band in which nobody waits", BAND, NOT_PASS, |tale| {
        tale.column("app:memory.pressure.some", |_, value| value.map(|_| 0));
    }),
    lie("a band that nobody sampled", BAND, NOT_PASS, |tale| {
        tale.column("app:memory.current", |_, _| None);
    }),
    lie("a band whose hog gave up", BAND, NOT_PASS, |tale| {
        tale.ends("hog", tale.mark(Mark::Hold) + 100_000, ActorEnd::Exited(3));
    }),
    lie("a beat that stops with the stress, where nothing throttles", FREE, NOT_PASS, |tale| {
        tale.freeze("beat", tale.mark(Mark::Climb));
    }),
    lie("a server that answers only before the stress", FREE, NOT_PASS, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.drop(|stamped| stamped.at_us > climb && matches!(stamped.event, Event::Answer { probe: 0, .. }));
    }),
    // Statistics over a phase.
    lie("a canary outside that never wakes in the hold", CRAWLS, NOT_PASS, |tale| {
        let hold = tale.mark(Mark::Hold);
        tale.freeze("canary", hold);
        let mut at_hold = None;
        tale.change(|_, event| match event {
            Event::ActorStatus { actor, at: Mark::Hold, status } if actor == "canary" => {
                at_hold = Some(status.clone());
                true
            }
            Event::ActorStatus { actor, at: Mark::Settle, status } if actor == "canary" => {
                if let Some(then) = &at_hold {
                    *status = then.clone();
                }
                true
            }
            _ => false,
        });
    }),
    lie("a canary outside that counted one beat in the hold", CRAWLS, NOT_PASS, |tale| {
        let mut at_hold: Option<Vec<u64>> = None;
        tale.change(|_, event| match event {
            Event::ActorStatus { actor, at: Mark::Hold, status } if actor == "canary" => {
                at_hold = Some(status.gaps.clone());
                false
            }
            Event::ActorStatus { actor, at: Mark::Settle, status } if actor == "canary" => {
                let mut gaps = at_hold.clone().expect("the hold comes first");
                gaps[0] += 1;
                status.gaps = gaps;
                true
            }
            _ => false,
        });
    }),
    lie("a hog that ran through the band", CRAWLS, RED, |tale| {
        let hold = tale.mark(Mark::Hold);
        tale.column("hog:touched", |at, value| Some(value? + at.saturating_sub(hold) * 60));
    }),
    lie("a stall that nobody counted to the end", CRAWLS, OPEN, |tale| {
        let last = tale.mark(Mark::Settle) - 3_000_000;
        tale.column("work:memory.pressure.full", |at, value| value.filter(|_| at < last));
    }),
    lie("a hold of an instant", CRAWLS, NOT_PASS, |tale| {
        let late = tale.mark(Mark::Settle) - 60_000;
        tale.drop(|stamped| matches!(stamped.event, Event::Phase { phase: Mark::Hold }));
        tale.add(late, Event::Phase { phase: Mark::Hold });
    }),
    // The harness's own cap.
    lie("a twin whose hog died by hand before any cap", REMOVED, OPEN, |tale| {
        tale.was_killed_by_hand("hog");
    }),
    lie("a twin whose hog left by itself with an error", REMOVED, OPEN, |tale| {
        tale.silence_the_kernel();
        tale.ends("hog", tale.death("hog"), ActorEnd::Exited(3));
    }),
];
