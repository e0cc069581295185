//! `plan`: everything a run would do, on a machine of 2 GiB.

use harness::plan::Plan;
use predicates::str::{contains, is_empty};

use crate::bulkhead::{bulkhead, printed};

const FILE: &str = "scenarios/hard-cap-kill.toml";

#[test]
fn the_plan_of_the_scenario_as_written() {
    insta::assert_snapshot!(printed(&["plan", FILE, "--memory", "2G"]));
}

#[test]
fn the_plans_of_its_twins() {
    for twin in ["cap-removed", "swap-allowed", "unkillable"] {
        insta::assert_snapshot!(twin, printed(&["plan", FILE, "--memory", "2G", "--twin", twin]));
    }
}

/// An earlyoom of the scenario's own is one more unit that is started and stopped.
#[test]
fn the_plan_of_a_scenario_with_an_earlyoom() {
    insta::assert_snapshot!(printed(&["plan", "scenarios/earlyoom-dry-run.toml", "--memory", "2G"]));
}

#[test]
fn the_json_of_a_plan_is_the_plan() {
    let text = printed(&["plan", FILE, "--memory", "2G", "--twin", "unkillable", "--json"]);
    let plan: Plan = serde_json::from_str(&text).expect("a plan");
    assert_eq!((&*plan.scenario, plan.twin.as_deref()), ("hard-cap-kill", Some("unkillable")));
    let hog = plan.actors.iter().find(|actor| actor.id == "hog").expect("the hog");
    assert_eq!(hog.oom_score_adj, -1000);
    // 120 % of 512 MiB.
    assert_eq!(hog.total, Some((512 << 20) * 120 / 100));
}

#[test]
fn what_does_not_exist_is_a_usage_error() {
    bulkhead(&["plan", FILE, "--twin", "swap-alowed"])
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains("has no twin `swap-alowed`; it has cap-removed, swap-allowed, unkillable"));
    bulkhead(&["plan", "/nowhere.toml"]).assert().code(2).stderr(contains("cannot read /nowhere.toml"));
    bulkhead(&["plan", FILE, "--memory", "2 potatoes"]).assert().code(2).stderr(contains("--memory"));
}
