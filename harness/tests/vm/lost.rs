//! What a guest had seen before it was lost is on the other side of its walls.

use std::sync::{Arc, mpsc};
use std::thread;

use ci::Command;
use harness::case::Case;
use harness::case::receive::{News, Receiver};
use harness::case::vm::run_inside;
use harness::judge::judge;
use harness::record::event::{EndReason, Mark};
use harness::record::{Event, GuestFacts, Record};
use harness::scenario::Scenario;
use reports::outcome::Verdict;

use crate::machine::Machine;

#[test]
fn a_guest_that_panics_in_mid_stress_leaves_what_it_saw_and_no_verdict() {
    let machine = Machine::new("panics");
    let text = include_str!("../fixtures/vm-scenarios/climbs-slowly.toml");
    let scenario = Scenario::parse("climbs-slowly.toml", text).expect("a scenario");
    let case = Case { scenario: Arc::new(scenario), twin: None, run: 1 };
    let guest = GuestFacts { name: "trixie".into(), accelerator: "tcg".into(), waited_percent: None };
    let here = tempfile::tempdir().expect("a temporary directory");
    let dir = here.path().join("run");
    let receiver = Receiver::begin(&dir, case.head(Some(guest))).expect("begun");
    let (stressed, wait) = mpsc::channel();
    thread::scope(|scope| {
        let machine = &machine;
        scope.spawn(move || {
            if wait.recv().is_ok() {
                // It has no answer.
                let _ = machine.vm().output(&Command::sh("echo c >/proc/sysrq-trigger"));
            }
        });
        let mut on = |news: News<'_>| {
            if news == News::Phase(Mark::Hold) {
                let _ = stressed.send(());
            }
        };
        run_inside(machine.vm(), &case, receiver, &mut on).expect("written here");
        drop(stressed);
    });
    let record = Record::load(&dir).expect("a record");
    assert_eq!(record.damage, [""; 0]);
    assert!(record.head.plan.is_some() && record.head.host.is_some());
    let seen = |fits: &dyn Fn(&Event) -> bool| record.events.iter().any(|stamped| fits(&stamped.event));
    assert!(seen(&|event| matches!(event, Event::ActorPlaced { .. })), "{:#?}", record.events);
    assert!(seen(&|event| *event == Event::Phase { phase: Mark::Climb }), "{:#?}", record.events);
    assert!(record.samples.at_us.len() > 5, "{} rows", record.samples.at_us.len());
    let Some(Event::Ended { reason: EndReason::MachineLost { what, console } }) =
        record.events.last().map(|stamped| &stamped.event)
    else {
        panic!("{:#?}", record.events)
    };
    assert!(what.contains("panic") && console.contains("sysrq"), "{what}\n{console}");
    assert_eq!(judge(&record).verdict, Verdict::Inconclusive);
}
