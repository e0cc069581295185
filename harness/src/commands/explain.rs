//! `bulkhead explain`: a metric, an expectation, a property, a verdict or a rule of `check` in a paragraph.

use reports::outcome::Verdict;

use super::stdout::print;
use crate::cli::Explain;
use crate::exit_code::ExitCode;
use crate::metric::catalogue;
use crate::notation::suggest::nearest;
use crate::property::PropertyName;
use crate::reading::rule::Rule;
use crate::scenario::expectation::families;
use crate::{policy, scenario};

pub(super) fn explain(arguments: &Explain) -> anyhow::Result<ExitCode> {
    let Some(word) = &arguments.word else {
        print(&everything())?;
        return Ok(ExitCode::Passed);
    };
    // `work:memory.peak` is asked for as often as `memory.peak`.
    let name = word.split_once(':').map_or(word.as_str(), |(_, metric)| metric);
    if let Some(text) = metric(name).or_else(|| expectation(name)).or_else(|| other(name)) {
        print(&format!("{text}\n"))?;
        return Ok(ExitCode::Passed);
    }
    let near = nearest(name, names().iter().map(String::as_str));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    eprintln!("error: `{word}` is not a metric, expectation, property, verdict or rule{hint}");
    eprintln!("Run `bulkhead explain` to list them all.");
    Ok(ExitCode::Usage)
}

fn metric(name: &str) -> Option<String> {
    let info = catalogue().iter().find(|info| {
        info.name == name
            || info.name.strip_suffix('N').is_some_and(|stem| {
                name.strip_prefix(stem).is_some_and(|probe| probe.parse::<usize>().is_ok())
            })
    })?;
    let since = info.since_kernel.map(|(major, minor)| format!(", kernel {major}.{minor} and later"));
    Some(format!(
        "{}  ({} of {}, {}; from {}{})\n\n{}",
        info.name,
        info.course,
        info.subject,
        info.unit,
        info.source,
        since.unwrap_or_default(),
        info.about
    ))
}

fn expectation(name: &str) -> Option<String> {
    let family = families().find(|family| family.name == name)?;
    Some(format!("{}  (expectation)\n\n{}\n\n{}", family.name, family.about, family.example))
}

fn other(name: &str) -> Option<String> {
    if let Some(property) = PropertyName::from_text(name) {
        let info = property.info();
        return Some(format!(
            "{}  (property, systemd {} and later)\n\n{}",
            info.text, info.since, info.about
        ));
    }
    if let Some(rule) = rules().find(|rule| rule.id == name) {
        return Some(format!("{}  ({} of `bulkhead check`)\n\n{}", rule.id, rule.level, rule.page));
    }
    let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.word() == name)?;
    Some(format!("{verdict}  (verdict)\n\n{}", verdict.meaning()))
}

/// The rules of everything that `check` reads.
fn rules() -> impl Iterator<Item = &'static Rule> {
    scenario::rules().chain(policy::rules())
}

fn names() -> Vec<String> {
    let metrics = catalogue().iter().map(|info| info.name);
    let expectations = families().map(|family| family.name);
    let properties = PropertyName::ALL.into_iter().map(|property| property.info().text);
    let verdicts = Verdict::ALL.into_iter().map(Verdict::word);
    let rules = rules().map(|rule| rule.id);
    metrics.chain(expectations).chain(properties).chain(verdicts).chain(rules).map(str::to_owned).collect()
}

fn everything() -> String {
    let metrics = catalogue()
        .iter()
        .map(|info| format!("{:<40} {} of {}, {}", info.name, info.course, info.subject, info.unit));
    let rules = rules().map(|rule| format!("{:<40} {}", rule.id, rule.level));
    let sections: [(&str, Vec<String>); 5] = [
        (
            "Metrics (SUBJECT:METRIC; a subject is a declared cgroup, host, an actor, or protect)",
            metrics.collect(),
        ),
        ("Expectations", families().map(|family| family.name.to_owned()).collect()),
        ("Properties", PropertyName::ALL.map(|property| property.info().text.to_owned()).into()),
        ("Verdicts", Verdict::ALL.map(|verdict| verdict.to_string()).into()),
        ("Rules of `bulkhead check`", rules.collect()),
    ];
    let section = |(title, lines): &(&str, Vec<String>)| format!("{title}\n  {}\n", lines.join("\n  "));
    sections.iter().map(section).collect::<Vec<_>>().join("\n")
}
