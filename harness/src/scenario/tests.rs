//! A whole scenario: read, and changed by its twins.

use proptest::prelude::*;

use super::*;

const SHIPPED: &str = include_str!("../../../scenarios/hard-cap-kill.toml");
const EVERY_KEY: &str = include_str!("../../tests/fixtures/scenarios/every-key.toml");

fn shipped() -> Scenario {
    Scenario::parse("scenarios/hard-cap-kill.toml", SHIPPED).unwrap()
}

#[test]
fn cgroups_and_actors_keep_the_order_of_the_file() {
    let scenario = Scenario::parse("every-key", EVERY_KEY).unwrap();
    let cgroups: Vec<_> = scenario.cgroups.iter().map(|cgroup| &*cgroup.id).collect();
    assert_eq!(cgroups, ["outer", "inner"]);
    let kinds: Vec<_> = scenario.actors.iter().map(|actor| actor.kind().to_string()).collect();
    assert_eq!(
        kinds,
        ["balloon", "heartbeat", "tcp-server", "spinner", "writer", "reader", "forker", "sleeper"]
    );
}

#[test]
fn a_twin_breaks_one_limit_and_sizes_stay_as_written() {
    let scenario = shipped();
    let twin = scenario.twin("cap-removed").unwrap();
    assert_eq!(twin.limit("work", "MemoryMax"), Some(Limit::Infinity));
    assert_eq!(twin.limit("work", "MemorySwapMax"), Some(Limit::Bytes(Bytes(0))));
    let balloon = twin.actor("hog").and_then(Actor::balloon).unwrap();
    assert_eq!(twin.resolve(&balloon.size, Bytes(0)), Some(Bytes(644_245_094)));
    assert_eq!((twin.name(), scenario.name()), ("hard-cap-kill/cap-removed".into(), "hard-cap-kill".into()));
    assert_eq!(scenario.limit("work", "MemoryMax"), Some(Limit::Bytes(Bytes(512 << 20))));
}

#[test]
fn a_twin_changes_single_keys_of_an_actor() {
    let scenario = shipped();
    let twin = scenario.twin("unkillable").unwrap();
    let (before, after) = (scenario.actor("hog").unwrap(), twin.actor("hog").unwrap());
    assert_eq!(after.oom_score_adjust, actor::OomScoreAdjust::NEVER);
    assert_eq!(Actor { oom_score_adjust: before.oom_score_adjust, ..after.clone() }, *before);
    assert_eq!(twin.enough, Some(Span::seconds(3)));
    assert!(twin.twins.is_empty());
}

#[test]
fn a_twin_drops_and_adds_actors_and_merges_requirements() {
    let scenario = Scenario::parse("every-key", EVERY_KEY).unwrap();
    let twin = scenario.twin("other").unwrap();
    assert!(twin.actor("spin").is_none() && twin.actor("extra").is_some());
    assert_eq!(twin.requires.swap, Some(requires::SwapNeed::AtLeast(Bytes(256 << 20))));
    assert_eq!(twin.requires.memory, scenario.requires.memory);
    assert_eq!(twin.requires.units.len(), 2);
}

#[test]
fn a_twin_changes_and_drops_earlyoom() {
    let scenario = Scenario::parse("every-key", EVERY_KEY).unwrap();
    let before = scenario.own_killer(Killer::Earlyoom).unwrap().clone();
    assert_eq!((before.release, before.duration), (killer::Moment::Hold, Some(Span::seconds(2))));
    let after = scenario.twin("other").unwrap().own_killer(Killer::Earlyoom).unwrap().clone();
    let (killer::Settings::Earlyoom(told), killer::Settings::Earlyoom(first)) =
        (after.settings, &before.settings);
    assert_eq!((told.avoid.as_deref(), told.kill_memory), (None, 2));
    assert_eq!(killer::earlyoom::Earlyoom { avoid: first.avoid.clone(), kill_memory: 1, ..told }, *first);
    assert_eq!(
        (after.release, after.duration, after.dry_run),
        (before.release, before.duration, before.dry_run)
    );
    assert_eq!(scenario.twin("quiet").unwrap().killers, []);
}

#[test]
fn a_twin_has_its_own_expectations_at_the_end() {
    let scenario = Scenario::parse("every-key", EVERY_KEY).unwrap();
    let twin = scenario.twin("other").unwrap();
    let (own, base) = twin.expects.split_last().unwrap();
    assert_eq!((base, &*own.id), (&scenario.expects[..], "first"));
    assert!(!scenario.expectation_ids().contains(&"first".to_owned()));
    assert!(twin.expectation_ids().contains(&"first".to_owned()));
}

#[test]
fn a_twin_without_swap_throttles_none() {
    let scenario = Scenario::parse("every-key", EVERY_KEY).unwrap();
    assert_eq!(scenario.twin("other").unwrap().requires.swap_rate, Some(Bytes(60 << 20)));
    let text = EVERY_KEY.replace("requires = { swap = \"256M\"", "requires = { swap = \"none\"");
    let scenario = Scenario::parse("every-key", &text).unwrap();
    assert_eq!(scenario.twin("other").unwrap().requires.swap_rate, None);
}

#[test]
fn an_unknown_twin_is_refused_with_the_known_ones() {
    let error = shipped().twin("cap-remove").unwrap_err();
    assert_eq!(
        error.to_string(),
        "scenario `hard-cap-kill` has no twin `cap-remove`; it has cap-removed, swap-allowed, unkillable"
    );
}

#[test]
fn expectations_that_come_by_themselves_are_listed() {
    let ids = shipped().expectation_ids();
    assert_eq!(ids[..3], ["reached", "protected-unchanged", "protected-answers"]);
    assert!(ids.contains(&"swap-flat".to_owned()));
}

/// A word in the record is the word of the scenario file.
#[test]
fn words_are_stored_as_they_are_written() {
    fn same<T: crate::reading::Word + serde::Serialize>() {
        for (text, value) in T::WORDS {
            assert_eq!(serde_json::to_value(value).unwrap(), *text, "{}", T::EXPECTING);
        }
    }
    same::<Safety>();
    same::<actor::Kind>();
    same::<actor::Release>();
    same::<actor::MemoryKind>();
    same::<actor::Profile>();
    same::<actor::Pages>();
    same::<actor::HugePages>();
    same::<actor::Text>();
    same::<Killer>();
    same::<killer::Moment>();
    same::<expectation::Trigger>();
    same::<crate::notation::signal::Signal>();
    same::<expectation::Phase>();
    same::<expectation::BoundKind>();
    same::<crate::property::UnitKind>();
}

proptest! {
    /// Whatever is cut out of a scenario or put into it, reading ends with a scenario or with errors that can be shown.
    #[test]
    fn no_damage_makes_the_reader_panic(at in 0..EVERY_KEY.len(), cut in 0_usize..40, put in "[\\[\\]{}=\",.a-z0-9\n ]{0,6}") {
        let end = (at + cut).min(EVERY_KEY.len());
        let damaged = format!("{}{put}{}", &EVERY_KEY[..at], &EVERY_KEY[end..]);
        match Scenario::parse("damaged.toml", &damaged) {
            Ok(scenario) => {
                for problem in check(&scenario) {
                    prop_assert!(!problem.render(false).is_empty());
                }
            }
            Err(invalid) => prop_assert!(!invalid.diagnostics.is_empty() && !invalid.to_string().is_empty()),
        }
    }
}
