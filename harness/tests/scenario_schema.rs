//! The JSON Schema of scenario files against the scenarios that are there, and against broken ones.
//!
//! The validator here knows the words that the schema uses and refuses any other, so that no word goes unchecked.

use std::path::{Path, PathBuf};

use harness::scenario::{Scenario, schema};
use rstest::rstest;
use serde_json::Value;

#[path = "scenario_schema/pattern.rs"]
mod pattern;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn json(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

/// Every reason why `value` does not fit `schema`, with its place.
fn errors(schema: &Value, whole: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else {
        return if schema == &Value::Bool(false) { vec![format!("{at}: not allowed")] } else { Vec::new() };
    };
    let mut found = Vec::new();
    for (word, rule) in schema {
        match word.as_str() {
            // Words without a rule, and the rules for keys, which `keys` looks at together.
            "$schema"
            | "$defs"
            | "title"
            | "description"
            | "properties"
            | "patternProperties"
            | "additionalProperties" => {}
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/").unwrap();
                let target = name.split('/').fold(whole, |value, key| &value[key]);
                assert!(!target.is_null(), "dangling $ref {name}");
                found.extend(errors(target, whole, value, at));
            }
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !types.iter().any(|name| has_type(value, name.as_str().unwrap())) {
                    found.push(format!("{at}: not of type {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().unwrap().contains(value) {
                    found.push(format!("{at}: not one of {rule}"));
                }
            }
            "pattern" => {
                let matches = |text: &str| pattern::matches(rule.as_str().unwrap(), text);
                if value.as_str().is_some_and(|text| !matches(text)) {
                    found.push(format!("{at}: does not match {rule}"));
                }
            }
            "minLength" | "maxLength" | "minimum" | "maximum" => {
                let number = match (word.as_str(), value) {
                    ("minLength" | "maxLength", Value::String(text)) => Some(text.chars().count() as f64),
                    ("minimum" | "maximum", Value::Number(number)) => number.as_f64(),
                    _ => None,
                };
                let limit = rule.as_f64().unwrap();
                let outside = |number| if word.starts_with("min") { number < limit } else { number > limit };
                if number.is_some_and(outside) {
                    found.push(format!("{at}: beyond {word} {limit}"));
                }
            }
            "required" => {
                for key in rule.as_array().unwrap() {
                    if value.as_object().is_some_and(|table| !table.contains_key(key.as_str().unwrap())) {
                        found.push(format!("{at}: {key} is missing"));
                    }
                }
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(|table| table.keys()) {
                    found.extend(errors(rule, whole, &Value::String(key.clone()), &format!("{at}.{key}")));
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(errors(rule, whole, item, &format!("{at}[{index}]")));
                }
            }
            "anyOf" | "oneOf" => {
                let tries: Vec<_> =
                    rule.as_array().unwrap().iter().map(|one| errors(one, whole, value, at)).collect();
                let fitting = tries.iter().filter(|reasons| reasons.is_empty()).count();
                if fitting == 0 || (word == "oneOf" && fitting > 1) {
                    found.push(format!("{at}: {fitting} of {word} fit: {tries:?}"));
                }
            }
            other => panic!("the schema uses `{other}`, which this validator does not know"),
        }
    }
    found.extend(keys(schema, whole, value, at));
    found
}

/// Each key of a table goes to the rule of that name, else to a pattern, else to the rule for all others.
fn keys(schema: &serde_json::Map<String, Value>, whole: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (key, item) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        let named = schema.get("properties").and_then(|properties| properties.get(key));
        let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        let by_pattern = patterns.clone().find(|(text, _)| pattern::matches(text, key)).map(|(_, rule)| rule);
        if let Some(rule) = named.or(by_pattern).or_else(|| schema.get("additionalProperties")) {
            found.extend(errors(rule, whole, item, &at));
        }
    }
    found
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

fn fits(text: &str) -> Vec<String> {
    let schema = schema();
    errors(&schema, &schema, &json(text), "")
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
#[case("safety = \"contained\"", "", "missing")]
#[case("safety = \"contained\"", "safety = \"harmless\"", "not one of")]
#[case("schema = 1", "schema = \"1\"", "not of type")]
#[case("MemoryMax     =", "MemoryMx =", "not allowed")]
#[case("MemoryMax     = \"512M\"", "MemoryMax = \"512MB\"", "does not match")]
#[case("id   = \"hog\"", "id = \"Hog\"", "fit")]
#[case("kind = \"balloon\"", "kind = \"baloon\"", "fit")]
#[case("text = \"pinned\"", "", "fit")]
#[case("host:swap.out", "host:swap.uot", "does not match")]
#[case("max-delta = \"0\"", "max-delta = \"0\"\nsurvives = [\"hog\"]", "2 of oneOf fit")]
#[case("\"work.MemorySwapMax\" =", "\"MemorySwapMax\" =", "not allowed")]
#[case("must-fail = [\"swap-flat\"]", "", "missing")]
#[case("within = \"30s\"", "within = \"soon!\"", "does not match")]
fn a_broken_scenario_does_not_fit(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
    let sample = std::fs::read_to_string(root("tests/fixtures/scenarios/sample.toml")).unwrap();
    assert!(sample.contains(from), "the case changes nothing");
    let found = fits(&sample.replacen(from, to, 1));
    assert!(found.iter().any(|error| error.contains(reason)), "{found:#?}");
}

#[rstest]
#[case("dry-run = true\n", "", "missing")]
#[case("term-memory = 99", "term-memory = 100", "beyond maximum 99")]
#[case("term-swap = 100", "term-swap = 0", "beyond minimum 1")]
#[case("release = \"hold\"", "release = \"now\"", "not one of")]
#[case("prefer = \"^hog$\"", "preferred = \"^hog$\"", "not allowed")]
#[case("trigger = \"pressure\"", "trigger = \"psi\"", "not one of")]
#[case("ssh-login =", "tcp-banner = \"127.0.0.1:22\", ssh-login =", "2 of oneOf fit")]
#[case("ssh-login = \"127.0.0.1:22\", ", "", "0 of oneOf fit")]
#[case("swap-rate = \"60M\"", "swap-rate = \"60MB\"", "does not match")]
#[case("ignore-sigterm = true", "ignore-sigterm = 1", "fit")]
#[case("kill-order = [\"rival\", \"hog\"]", "kill-order = \"rival\"", "not of type")]
#[case("kill-order = [\"rival\", \"hog\"]", "", "0 of oneOf fit")]
fn a_broken_scenario_of_daemons_does_not_fit(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
    let fixture = std::fs::read_to_string(root("tests/fixtures/scenarios/daemons.toml")).unwrap();
    assert!(fixture.contains(from), "the case changes nothing");
    let found = fits(&fixture.replacen(from, to, 1));
    assert!(found.iter().any(|error| error.contains(reason)), "{found:#?}");
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
