//! What people see when a scenario file is wrong: each broken fixture with its message.
//!
//! A fixture is the sample scenario with one thing changed, so that a case shows only what it is about.

use std::path::{Path, PathBuf};

use harness::reading::diagnostic::Diagnostic;
use harness::scenario::{LoadError, Scenario, check, rules};
use rstest::rstest;

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scenarios").join(name)
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(fixtures(name)).unwrap()
}

fn sample() -> String {
    fixture("sample.toml")
}

fn render(diagnostics: &[Diagnostic]) -> String {
    let texts: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
    texts.join("\n\n")
}

/// Everything that is reported for a fixture with `from` replaced by `to`.
fn broken(name: &str, from: &str, to: &str) -> String {
    let text = fixture(name);
    assert!(text.contains(from), "the case changes nothing");
    match Scenario::parse(&format!("scenarios/{name}"), &text.replacen(from, to, 1)) {
        Ok(scenario) => render(&check(&scenario)),
        Err(invalid) => render(&invalid.diagnostics),
    }
}

/// The snapshot is named after the case.
fn explained(report: &str) {
    let name =
        std::thread::current().name().unwrap_or_default().rsplit("::").next().unwrap_or_default().to_owned();
    let name = name.trim_start_matches("case_").trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "fixtures/scenarios/errors" }, {
        insta::assert_snapshot!(name.trim_start_matches('_'), report);
    });
}

#[rstest]
#[case::unknown_property("MemoryMax     =", "MemoryMx =")]
#[case::unknown_key("deadline =", "dedline =")]
#[case::unknown_key_far_from_all("tags   =", "colour =")]
#[case::misspelt_metric("host:swap.out", "host:swap.uot")]
#[case::metric_of_another_subject("host:swap.out", "host:memory.peak")]
#[case::metric_of_an_unknown_cgroup("work:memory.peak", "wrok:memory.peak")]
#[case::wrong_type("every = \"20ms\"", "every = true")]
#[case::duplicate_id("id    = \"canary\"", "id    = \"hog\"")]
#[case::missing_safety("safety = \"contained\"", "")]
#[case::unknown_safety("\"contained\"", "\"containd\"")]
#[case::missing_text("text = \"pinned\"", "")]
#[case::missing_size("size = { percent = 120, of = \"work.MemoryMax\" }", "")]
#[case::bad_size("\"512M\"", "\"512MB\"")]
#[case::bad_span("\"90s\"", "\"90 secs\"")]
#[case::endless_deadline("\"90s\"", "\"infinity\"")]
#[case::unknown_kind("\"balloon\"", "\"baloon\"")]
#[case::key_of_another_kind("every = \"20ms\"", "every = \"20ms\"\nrate = \"5M\"")]
#[case::unknown_cgroup("in   = \"work\"", "in   = \"wrk\"")]
#[case::process_in_a_service("\"system.slice\"", "\"ssh.service\"")]
#[case::undeclared_limit("percent = 120, of = \"work.MemoryMax\"", "percent = 120, of = \"work.MemoryHigh\"")]
#[case::unsafe_id("id   = \"hog\"", "id   = \"My Hog\"")]
#[case::long_comm("text = \"pinned\"", "text = \"pinned\"\ncomm = \"postgres-writer-1\"")]
#[case::two_claims("only-victims = [\"hog\"]", "only-victims = [\"hog\"]\nsurvives = [\"canary\"]")]
#[case::no_claim("only-victims = [\"hog\"]", "")]
#[case::metric_without_bound("max-delta = \"0\"", "")]
#[case::kill_with_a_code("by = \"memcg\", limit = \"work\",", "by = \"memcg\", code = 3, limit = \"work\",")]
#[case::kill_with_a_signal_of_nobody(
    "by = \"memcg\", limit = \"work\",",
    "by = \"memcg\", signal = \"SIGTERM\", limit = \"work\","
)]
#[case::exit_by_a_signal(
    "by = \"memcg\", limit = \"work\", at = { percent = 100, of = \"work.MemoryMax\", within-percent = 2 }",
    "by = \"exit\", signal = \"SIGKILL\""
)]
#[case::exit_with_no_code(
    "by = \"memcg\", limit = \"work\", at = { percent = 100, of = \"work.MemoryMax\", within-percent = 2 }",
    "by = \"exit\", code = 256"
)]
#[case::actor_called_run("id   = \"hog\"", "id   = \"run\"")]
#[case::cgroup_called_run("[cgroup.work]", "[cgroup.run]")]
#[case::twin_called_all("id        = \"swap-allowed\"", "id        = \"all\"")]
#[case::hold_that_does_not_fit("deadline = \"90s\"", "deadline = \"90s\"\nhold = \"1s\"")]
#[case::hold_of_a_word("deadline = \"90s\"", "deadline = \"90s\"\nhold = \"long\"")]
#[case::kill_without_limit("by = \"memcg\", limit = \"work\",", "by = \"memcg\",")]
#[case::reserved_id("id   = \"no-other-victim\"", "id   = \"reached\"")]
#[case::twin_without_must_fail("must-fail = [\"swap-flat\"]", "")]
#[case::twin_with_empty_must_fail("must-fail = [\"swap-flat\"]", "must-fail = []")]
#[case::twin_with_unknown_must_fail("must-fail = [\"swap-flat\"]", "must-fail = [\"swap-flt\"]")]
#[case::twin_that_must_not_reach("must-fail = [\"swap-flat\"]", "must-fail = [\"reached\"]")]
#[case::twin_sets_an_unknown_target("\"work.MemorySwapMax\"", "\"wrk.MemorySwapMax\"")]
#[case::twin_sets_a_wrong_value(
    "{ \"work.MemorySwapMax\" = \"infinity\" }",
    "{ \"hog.OOMScoreAdjust\" = -2000 }"
)]
#[case::twin_sets_an_unknown_key("{ \"work.MemorySwapMax\" = \"infinity\" }", "{ \"hog.siez\" = \"1M\" }")]
#[case::twin_sets_without_quotes("\"work.MemorySwapMax\" =", "work.MemorySwapMax =")]
#[case::probe_of_another_machine("127.0.0.1:22", "example.org:22")]
#[case::not_toml("safety = \"contained\"", "safety = contained")]
#[case::another_schema("schema = 1", "schema = 2")]
#[case::twin_changes_a_kind("{ \"work.MemorySwapMax\" = \"infinity\" }", "{ \"hog.kind\" = \"reader\" }")]
#[case::time_as_a_share_of_a_limit(
    "\"host:swap.out\"\nmax-delta = \"0\"",
    "\"canary:gap.max\"\nmax = { percent = 5, of = \"work.MemoryMax\" }"
)]
#[case::cgroup_in_itself("[cgroup.work]", "[cgroup.work]\nin = \"work\"")]
#[case::metric_of_an_actor("\"work:memory.peak\"", "\"hog:memory.peak\"")]
#[case::check_total("memory = \"1G\"", "memory = \"512M\"")]
#[case::check_host_counter("max-delta = \"0\"", "max = \"0\"")]
fn a_broken_scenario_is_explained(#[case] from: &str, #[case] to: &str) {
    explained(&broken("sample.toml", from, to));
}

#[rstest]
#[case::earlyoom_without_dry_run("dry-run = true\n", "")]
#[case::earlyoom_at_100_percent("term-memory = 99", "term-memory = 100")]
#[case::earlyoom_with_text_for_percent("term-memory = 99", "term-memory = \"99%\"")]
#[case::earlyoom_that_kills_first("term-memory = 99\nkill-memory = 1", "term-memory = 10\nkill-memory = 20")]
#[case::earlyoom_that_kills_at_more_swap("term-swap = 100", "term-swap = 10")]
#[case::earlyoom_for_no_time("for = \"2s\"", "for = \"0\"")]
#[case::earlyoom_with_two_lines("^hog$", "hog\\nserver")]
#[case::earlyoom_released_too_early("release = \"hold\"", "release = \"now\"")]
#[case::earlyoom_live_in_a_contained_run("dry-run = true", "dry-run = false")]
#[case::earlyoom_that_never_fires("term-memory = 99", "term-memory = 5")]
#[case::earlyoom_for_a_long_name("^hog$", "^(hog|postgres-checkpointer)$")]
#[case::actor_called_earlyoom("id   = \"server\"", "id   = \"earlyoom\"")]
#[case::cgroup_called_earlyoom("[cgroup.work]", "[cgroup.earlyoom]")]
#[case::twin_actor_called_earlyoom("id   = \"rival\"", "id   = \"earlyoom\"")]
#[case::twin_sets_an_unknown_key_of_earlyoom("\"earlyoom.avoid\"", "\"earlyoom.avoit\"")]
#[case::twin_sets_a_wrong_value_of_earlyoom("\"earlyoom.avoid\" = \"\"", "\"earlyoom.kill-swap\" = 101")]
#[case::twin_makes_earlyoom_live("\"earlyoom.avoid\" = \"\"", "\"earlyoom.dry-run\" = false")]
#[case::twin_drops_what_is_not_there("set  =", "drop = [\"earlyom\"]\nset  =")]
#[case::twin_expects_the_name_of_another("id   = \"rival-first\"", "id   = \"chosen\"")]
#[case::twin_must_fail_what_must_hold("must-fail = [\"chosen\",", "must-fail = [\"rival-first\",")]
#[case::twin_expects_of_a_stranger("[\"rival\", \"hog\"]", "[\"rivl\", \"hog\"]")]
#[case::twin_expects_an_order_of_one("[\"rival\", \"hog\"]", "[\"rival\"]")]
#[case::killed_twice("[\"rival\", \"hog\"]", "[\"hog\", \"rival\", \"hog\"]")]
#[case::oomd_that_is_not_there("units = [\"systemd-oomd.service\"]", "")]
#[case::oomd_that_does_not_watch("trigger = \"pressure\"", "trigger = \"swap\"")]
#[case::oomd_of_an_unknown_cgroup("watches = \"work\"", "watches = \"wrk\"")]
#[case::oomd_with_an_unknown_trigger("trigger = \"pressure\"", "trigger = \"presure\"")]
#[case::earlyoom_selects_nobody("selects = [\"hog\"]", "selects = []")]
#[case::earlyoom_selects_and_never("never = [\"server\"]", "never = [\"hog\"]")]
#[case::earlyoom_selects_a_stranger("selects = [\"hog\"]", "selects = [\"hug\"]")]
#[case::earlyoom_sends_another_signal("\"SIGTERM\"]", "\"SIGINT\"]")]
#[case::survivor_in_a_kill_order(
    "survives = [\"server\"]",
    "kill-order = [\"hog\", \"server\"]\n[[expect]]\nid = \"x\"\nsurvives = [\"server\"]"
)]
#[case::probe_of_two_things("ssh-login =", "tcp-banner = \"127.0.0.1:22\", ssh-login =")]
#[case::probe_of_nothing("ssh-login = \"127.0.0.1:22\", ", "")]
#[case::swap_rate_without_swap("swap = \"256M\"\n", "")]
#[case::swap_rate_of_nothing("swap-rate = \"60M\"", "swap-rate = \"0\"")]
#[case::misspelt_ignore_sigterm("ignore-sigterm = true", "ignore-sigterm = \"yes\"")]
fn a_broken_scenario_of_daemons_is_explained(#[case] from: &str, #[case] to: &str) {
    explained(&broken("daemons.toml", from, to));
}

#[test]
fn the_scenario_of_daemons_is_sound_but_for_its_missing_tag() {
    assert_eq!(broken("daemons.toml", "schema = 1", "schema = 1"), "");
}

/// Without the table there is nothing that a claim or a twin could speak of.
#[test]
fn an_earlyoom_that_is_not_declared_is_missed() {
    let text = fixture("daemons.toml");
    let (before, rest) = text.split_once("[earlyoom]\n").unwrap();
    let (_, after) = rest.split_once("[protect]").unwrap();
    let without = format!("{before}[protect]{after}");
    let invalid = Scenario::parse("daemons.toml", &without).unwrap_err();
    assert_eq!(
        invalid.diagnostics[0].message,
        "there is no [earlyoom] in this scenario whose `avoid` could change"
    );
    let scenario =
        Scenario::parse("daemons.toml", &without.replace("set  = { \"earlyoom.avoid\" = \"\" }\n", ""));
    let found: Vec<_> = check(&scenario.unwrap()).into_iter().map(|problem| problem.message).collect();
    assert_eq!(found, ["no earlyoom runs whose lines could be read"]);
}

#[test]
fn the_sample_is_read_and_its_flat_swap_is_told_to_be_vacuous() {
    let scenario = Scenario::parse("scenarios/sample.toml", &sample()).unwrap();
    assert_eq!((&*scenario.id, scenario.actors.len(), scenario.twins.len()), ("sample", 2, 1));
    let found: Vec<_> = check(&scenario).into_iter().map(|problem| problem.message).collect();
    assert_eq!(
        found,
        [
            "no twin has to turn this red: killed-by-its-own-cap, no-other-victim",
            "`host:swap.out` is vacuous without swap: it stays 0",
        ]
    );
}

/// Each id stands in a snapshot or in the table of the checks.
#[test]
fn every_rule_is_broken_by_a_fixture() {
    let mut shown = include_str!("../src/scenario/check/tests.rs").to_owned();
    for entry in std::fs::read_dir(fixtures("errors")).unwrap() {
        shown.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let unseen: Vec<_> = rules()
        .filter(|rule| !shown.contains(&format!("{}[{}]: ", rule.level, rule.id)))
        .map(|rule| rule.id)
        .collect();
    assert!(unseen.is_empty(), "raised by no test: {unseen:?}");
}

#[test]
fn all_problems_of_a_file_come_at_once() {
    let text =
        sample().replace("512M", "512X").replace("\"canary\"", "\"Canary\"").replace("\"20ms\"", "\"20mss\"");
    let invalid = Scenario::parse("sample.toml", &text).unwrap_err();
    let lines: Vec<_> = invalid.diagnostics.iter().map(Diagnostic::line).collect();
    assert_eq!(lines, [12, 23, 26], "{invalid}");
}

#[test]
fn colour_is_the_callers_choice() {
    let text = sample().replace("MemoryMax     =", "MemoryMx =");
    let invalid = Scenario::parse("sample.toml", &text).unwrap_err();
    assert!(invalid.diagnostics[0].render(true).contains('\u{1b}'));
    assert!(!invalid.diagnostics[0].render(false).contains('\u{1b}'));
}

/// Preconditions and controls: no twin breaks them, and one more is not worth a machine of its own.
#[test]
fn all_that_is_said_of_the_shipped_scenarios_is_which_claims_no_twin_turns_red() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let scenarios = harness::scenario::load_all(&[directory]).unwrap_or_else(|error| panic!("{error}"));
    let said = scenarios.iter().flat_map(|scenario| {
        let found = check(scenario).into_iter();
        found.map(|problem| format!("{}: {}", scenario.id, problem.message))
    });
    insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_files_name_must_be_an_id() {
    let error = Scenario::parse("scenarios/Hard Cap.toml", &sample()).unwrap_err();
    assert!(error.diagnostics[0].message.starts_with("the file's name is the scenario's id"), "{error}");
    let error: LoadError = Scenario::load(Path::new("/nowhere/x.toml")).unwrap_err();
    assert!(error.diagnostics().is_empty());
}
