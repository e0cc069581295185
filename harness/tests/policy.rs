//! Policy directories as their users meet them: the JSON Schema, the rules, and the messages with their places.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::policy::{Directory, Policy, check, policies_below, rules, schema};
use harness::scenario;
use jsonschema::draft202012;
use rstest::rstest;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policies/every-key")
}

fn text() -> String {
    std::fs::read_to_string(fixture().join("policy.toml")).unwrap()
}

/// Every reason why a file does not fit the schema, with its place.
fn fits(text: &str) -> Vec<String> {
    let table: toml::Table = text.replace("= 2026-12-31\n", "= \"2026-12-31\"\n").parse().unwrap();
    let file = serde_json::to_value(table).unwrap();
    let validator = draft202012::new(&schema()).unwrap();
    validator.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_is_one_and_the_policy_of_every_key_fits_it() {
    assert!(draft202012::meta::is_valid(&schema()));
    assert_eq!(fits(&text()), Vec::<String>::new());
}

#[test]
fn every_shipped_policy_fits_the_schema() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/policies");
    for policy in policies_below(&policies).unwrap() {
        let text = std::fs::read_to_string(policy.join("policy.toml")).unwrap();
        assert_eq!(fits(&text), Vec::<String>::new(), "{}", policy.display());
    }
}

#[test]
fn the_policy_of_every_key_is_sound() {
    let directory = Directory::load(&fixture()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(check(&directory), []);
    let trees: Vec<_> = directory.policy.trees.iter().map(|tree| &*tree.id).collect();
    assert_eq!(trees, ["ssh", "server", "docker", "batch", "database"]);
    assert!(directory.beside.file("/setup.sh").is_some());
    assert!(directory.root.file("/etc/docker/daemon.json").is_some());
}

#[rstest]
#[case("memory = \"24G\"", "memory = \"24GB\"", "does not match")]
#[case("uid  = 1001", "uid = \"1001\"", "is not of type")]
#[case("name = \"alice\"", "name = \"Alice\"", "does not match")]
#[case("role   = \"protected\"", "role = \"protect\"", "is not one of")]
#[case("{ docker = true }", "{ docker = true, ssh = \"alice\" }", "'oneOf' keyword")]
#[case("[tree.batch]", "[tree.Batch]", "does not match")]
#[case("case     = \"hard-cap-kill@ssh\"", "case = \"hard-cap-kill\"", "does not match")]
#[case("cgroup = \"database.slice\"", "cgroup = \"database.socket\"", "does not match")]
fn a_broken_policy_does_not_fit(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
    assert!(text().contains(from), "the case changes nothing");
    let found = fits(&text().replacen(from, to, 1));
    assert!(found.iter().any(|error| error.contains(reason)), "{found:#?}");
}

#[test]
fn every_rule_has_a_name_of_its_own_and_a_page() {
    let mut names = BTreeSet::new();
    for rule in scenario::rules().chain(rules()) {
        assert!(names.insert(rule.id), "two rules are called {}", rule.id);
        assert!(rule.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", rule.id);
        assert!(rule.page.ends_with('.') && rule.page.split(". ").count() > 1, "{}: {}", rule.id, rule.page);
        assert!(!rule.page.contains("  "), "{}: {}", rule.id, rule.page);
    }
}

/// Each id stands in a table of the unit tests or in a snapshot of theirs.
#[test]
fn every_rule_is_broken_by_a_test() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy");
    let mut shown = String::new();
    for path in ["check/tests.rs", "root.rs", "scale/tests.rs"] {
        shown += &std::fs::read_to_string(source.join(path)).unwrap_or_default();
    }
    for entry in std::fs::read_dir(source.join("snapshots")).unwrap() {
        shown += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let unseen: Vec<_> = rules()
        .filter(|rule| !shown.contains(&format!("{}[{}]: ", rule.level, rule.id)))
        .map(|rule| rule.id)
        .collect();
    assert!(unseen.is_empty(), "raised by no test: {unseen:?}");
}

#[test]
fn a_message_shows_the_place_and_the_name_that_was_meant() {
    let broken = text().replace("{ ssh = \"alice\" }", "{ ssh = \"alise\", cap = 1 }");
    let invalid = Policy::parse("policies/x/policy.toml", &broken).unwrap_err();
    insta::assert_snapshot!(invalid.to_string());
}
