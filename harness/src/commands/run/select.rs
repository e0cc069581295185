//! What the command line selects → the cases to run, in order.

use std::sync::Arc;

use crate::case::Case;
use crate::cli::{Run, Twins};
use crate::reading::diagnostic::{Diagnostic, Invalid};
use crate::scenario::{LoadError, Scenario, check, find};

/// Without a selection, scenarios with this tag run.
const CORE: &str = "core";

/// Why a selection cannot be run.
pub(super) enum Refused {
    /// A file is missing, wrong, or proves nothing.
    Scenarios(LoadError),
    /// The selection makes no sense.
    Selection(String),
}

/// The selected cases: each scenario, then its twins, and all of it `--runs` times. What `bulkhead check` calls an error
/// must not run or cannot prove anything, so it is refused here, too.
pub(super) fn cases(arguments: &Run) -> Result<Vec<Case>, Refused> {
    let found = find(&arguments.scenarios.scenarios, &arguments.select).map_err(Refused::Scenarios)?;
    let tag = arguments.tag.as_deref().or(arguments.select.is_empty().then_some(CORE));
    let selected: Vec<Arc<Scenario>> = found
        .into_iter()
        .filter(|scenario| tag.is_none_or(|tag| scenario.tags.iter().any(|of| *of == tag)))
        .map(Arc::new)
        .collect();
    let refused: Vec<Diagnostic> =
        selected.iter().flat_map(|scenario| check(scenario)).filter(Diagnostic::is_error).collect();
    if !refused.is_empty() {
        return Err(Refused::Scenarios(LoadError::Invalid(Invalid { diagnostics: refused })));
    }
    if let Twins::One(id) = &arguments.twins
        && let Some(scenario) =
            selected.iter().find(|scenario| scenario.twins.iter().all(|twin| twin.id != **id))
    {
        let known: Vec<String> = scenario.twins.iter().map(|twin| twin.id.to_string()).collect();
        return Err(Refused::Selection(format!(
            "{} has no twin `{id}`; it has {}",
            scenario.id,
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    }
    let mut cases = Vec::new();
    for run in 1..=arguments.runs {
        for scenario in &selected {
            let base = matches!(arguments.twins, Twins::All | Twins::None).then_some(None);
            let twins = scenario.twins.iter().filter(|twin| match &arguments.twins {
                Twins::All | Twins::Only => true,
                Twins::None => false,
                Twins::One(id) => twin.id == **id,
            });
            for twin in base.into_iter().chain(twins.map(|twin| Some(twin.id.to_string()))) {
                cases.push(Case { scenario: Arc::clone(scenario), twin, run });
            }
        }
    }
    Ok(cases)
}
