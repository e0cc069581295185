//! `bulkhead list`: the scenarios, their twins and what they claim.

use super::stdout::print;
use crate::cli::List;
use crate::exit_code::ExitCode;
use crate::scenario::{self, Scenario};

pub(super) fn list(arguments: &List) -> anyhow::Result<ExitCode> {
    let dir = &arguments.scenarios.scenarios;
    let found = match scenario::load_all(&[dir]) {
        Ok(found) => found,
        Err(problem) => return super::check::refuse(&problem),
    };
    if arguments.json {
        let rows: Vec<serde_json::Value> = found.iter().map(row).collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&rows)?))?;
    } else {
        print(&found.iter().flat_map(lines).collect::<String>())?;
    }
    Ok(ExitCode::Passed)
}

fn lines(scenario: &Scenario) -> Vec<String> {
    let mut lines = vec![
        format!("{:<26} {}\n", scenario.id.to_string(), scenario.title),
        format!("{:<26} {}, {}\n", "", scenario.safety, tags(scenario)),
    ];
    lines.extend(scenario.twins.iter().map(|twin| {
        let must_fail: Vec<String> = twin.must_fail.iter().map(ToString::to_string).collect();
        format!("{:<26} twin {}: must turn red: {}\n", "", twin.id, must_fail.join(", "))
    }));
    lines
}

fn tags(scenario: &Scenario) -> String {
    if scenario.tags.is_empty() {
        "no tags".into()
    } else {
        format!("tags: {}", tag_words(scenario).join(", "))
    }
}

fn tag_words(scenario: &Scenario) -> Vec<String> {
    scenario.tags.iter().map(ToString::to_string).collect()
}

fn row(scenario: &Scenario) -> serde_json::Value {
    serde_json::json!({
        "id": scenario.id.to_string(),
        "title": scenario.title,
        "source": scenario.source,
        "safety": scenario.safety,
        "tags": tag_words(scenario),
        "twins": scenario.twins.iter().map(|twin| twin.id.to_string()).collect::<Vec<_>>(),
    })
}
