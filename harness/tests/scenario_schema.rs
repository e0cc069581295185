//! The JSON Schema of scenario files against the scenarios that are there, and against broken ones.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::scenario::{Scenario, schema};
use jsonschema::{Validator, draft202012};
use rstest::rstest;
use serde_json::Value;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn json(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

/// Every reason why a file does not fit the schema, with its place.
fn fits(text: &str) -> Vec<String> {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| draft202012::new(&schema()).unwrap());
    let file = json(text);
    VALIDATOR.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_is_one() {
    assert!(draft202012::meta::is_valid(&schema()));
}

fn shipped() -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(root("../scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.push(root("tests/fixtures/scenarios/sample.toml"));
    files.push(root("tests/fixtures/scenarios/every-key.toml"));
    files.push(root("tests/fixtures/scenarios/daemons.toml"));
    files
}

#[test]
fn every_scenario_fits_the_schema_and_the_parser() {
    for path in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(fits(&text), Vec::<String>::new(), "{}", path.display());
        Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[rstest]
#[case("safety = \"contained\"", "", "is a required property")]
#[case("safety = \"contained\"", "safety = \"harmless\"", "not one of")]
#[case("schema = 1", "schema = \"1\"", "not of type")]
#[case("MemoryMax     =", "MemoryMx =", "was unexpected")]
#[case("MemoryMax     = \"512M\"", "MemoryMax = \"512MB\"", "does not match")]
#[case("id   = \"hog\"", "id = \"Hog\"", "not valid under any of the schemas")]
#[case("kind = \"balloon\"", "kind = \"baloon\"", "not valid under any of the schemas")]
#[case("text = \"pinned\"", "", "not valid under any of the schemas")]
#[case("host:swap.out", "host:swap.uot", "does not match")]
#[case(
    "max-delta = \"0\"",
    "max-delta = \"0\"\nsurvives = [\"hog\"]",
    "more than one of the schemas listed in the 'oneOf' keyword"
)]
#[case("\"work.MemorySwapMax\" =", "\"MemorySwapMax\" =", "was unexpected")]
#[case("must-fail = [\"swap-flat\"]", "", "is a required property")]
#[case("within = \"30s\"", "within = \"soon!\"", "does not match")]
fn a_broken_scenario_does_not_fit(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
    let sample = std::fs::read_to_string(root("tests/fixtures/scenarios/sample.toml")).unwrap();
    assert!(sample.contains(from), "the case changes nothing");
    let found = fits(&sample.replacen(from, to, 1));
    assert!(found.iter().any(|error| error.contains(reason)), "{found:#?}");
}

#[rstest]
#[case("dry-run = true\n", "", "is a required property")]
#[case("term-memory = 99", "term-memory = 100", "greater than the maximum of 99")]
#[case("term-swap = 100", "term-swap = 0", "less than the minimum of 1")]
#[case("release = \"hold\"", "release = \"now\"", "not one of")]
#[case("prefer = \"^hog$\"", "preferred = \"^hog$\"", "was unexpected")]
#[case("trigger = \"pressure\"", "trigger = \"psi\"", "not one of")]
#[case(
    "ssh-login =",
    "tcp-banner = \"127.0.0.1:22\", ssh-login =",
    "more than one of the schemas listed in the 'oneOf' keyword"
)]
#[case(
    "ssh-login = \"127.0.0.1:22\", ",
    "",
    "not valid under any of the schemas listed in the 'oneOf' keyword"
)]
#[case("swap-rate = \"60M\"", "swap-rate = \"60MB\"", "does not match")]
#[case("ignore-sigterm = true", "ignore-sigterm = 1", "not valid under any of the schemas")]
#[case("kill-order = [\"rival\", \"hog\"]", "kill-order = \"rival\"", "not of type")]
#[case(
    "kill-order = [\"rival\", \"hog\"]",
    "",
    "not valid under any of the schemas listed in the 'oneOf' keyword"
)]
fn a_broken_scenario_of_daemons_does_not_fit(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
    let fixture = std::fs::read_to_string(root("tests/fixtures/scenarios/daemons.toml")).unwrap();
    assert!(fixture.contains(from), "the case changes nothing");
    let found = fits(&fixture.replacen(from, to, 1));
    assert!(found.iter().any(|error| error.contains(reason)), "{found:#?}");
}

/// A bound may compare with a phase that is over, and the schema offers no other.
#[rstest]
#[case("baseline", true)]
#[case("climb", true)]
#[case("hold", false)]
#[case("stress", false)]
#[case("run", false)]
fn schema_and_parser_agree_on_the_phases_to_compare_with(#[case] phase: &str, #[case] taken: bool) {
    let fixture = std::fs::read_to_string(root("tests/fixtures/scenarios/every-key.toml")).unwrap();
    let text = fixture.replace("of-phase = \"baseline\"", &format!("of-phase = \"{phase}\""));
    assert!(text != fixture || phase == "baseline", "the case changes nothing");
    assert_eq!((fits(&text).is_empty(), Scenario::parse("every-key.toml", &text).is_ok()), (taken, taken));
}

/// The fixture uses every key there is, so that a key of the schema that no file may have, or the reverse, is noticed.
#[test]
fn the_fixture_with_every_key_has_every_key() {
    let text = std::fs::read_to_string(root("tests/fixtures/scenarios/every-key.toml")).unwrap();
    let mut used = std::collections::BTreeSet::new();
    collect_keys(&json(&text), &mut used);
    let schema = schema();
    let mut known = std::collections::BTreeSet::new();
    collect_properties(&schema, &mut known);
    let unused: Vec<_> = known.difference(&used).collect();
    assert!(unused.is_empty(), "not used in every-key.toml: {unused:?}");
}

fn collect_keys(value: &Value, keys: &mut std::collections::BTreeSet<String>) {
    for (key, item) in value.as_object().into_iter().flatten() {
        keys.insert(key.clone());
        collect_keys(item, keys);
    }
    for item in value.as_array().into_iter().flatten() {
        collect_keys(item, keys);
    }
}

fn collect_properties(schema: &Value, keys: &mut std::collections::BTreeSet<String>) {
    for (word, rule) in schema.as_object().into_iter().flatten() {
        if word == "properties" {
            keys.extend(rule.as_object().unwrap().keys().cloned());
            rule.as_object().unwrap().values().for_each(|rule| collect_properties(rule, keys));
        } else {
            collect_properties(rule, keys);
        }
    }
    for item in schema.as_array().into_iter().flatten() {
        collect_properties(item, keys);
    }
}
