//! Runs a case on this very machine: facts → plan → guard → run.

use std::path::Path;
use std::time::Duration;

use super::Case;
use crate::allowance::{self, Allowance, AllowanceError};
use crate::error::chain;
use crate::guard;
use crate::plan;
use crate::record::event::EndReason;
use crate::record::store::{Store, StoreError};
use crate::record::{Event, GuestFacts, Stamped};
use crate::run::clock::now_us;
use crate::run::machine::Machine;
use crate::run::progress::Outside;
use crate::run::{self, Outcome, Paths};
use crate::scenario::Scenario;
use crate::systemd::{self, Manager};
use crate::{host, requirement};

/// How long systemd may take to answer: on a stressed machine, seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a case could not be run here at all.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No run could be started or observed here.
    #[error(transparent)]
    Unfit(#[from] guard::Unfit),
    /// The manager cannot be asked.
    #[error("cannot reach systemd; --on host needs root on a machine that runs systemd")]
    Systemd(#[from] systemd::Error),
    /// The twin is not in the file.
    #[error(transparent)]
    Twin(#[from] crate::scenario::UnknownTwin),
    /// It is not known what the owner of the machine allows.
    #[error(transparent)]
    Allowance(#[from] AllowanceError),
    /// The record cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The path of this program is not known.
    #[error("cannot find the directory of this program")]
    Programs(#[source] std::io::Error),
}

impl HostError {
    /// Whether no case at all can be run here.
    #[must_use]
    pub fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Unfit(_) | Self::Systemd(_) | Self::Allowance(_) | Self::Programs(_))
    }
}

/// Runs one case and leaves its record in `dir`; `guest` is what is known from outside of the guest that this is, if it is one.
///
/// # Errors
/// When nothing could be run. A run that went wrong is no error: its record says so.
pub fn run_case(
    case: &Case,
    guest: Option<GuestFacts>,
    dir: &Path,
    outside: &mut dyn Outside,
) -> Result<Outcome, HostError> {
    guard::fit(&host::probe(None))?;
    let bus = systemd::Bus::connect(PATIENCE)?;
    let allowance = Allowance::load(Path::new(allowance::PATH))?;
    let run = run_id();
    let paths = Paths::of_this_machine().map_err(HostError::Programs)?;
    // Held until everything is taken down: what is admitted is admitted alone, and no recovery takes it for a leftover.
    let machine = Machine::take(&paths.state, &format!("run {run}"));
    let facts = host::probe(Some(&bus));
    let scenario = case.to_run()?;
    let store = Store::create(dir)?;
    let mut head = case.head(guest);
    head.host = Some(facts.clone());
    store.write_head(&head)?;
    let end_now = |end: EndReason| -> Result<Outcome, HostError> {
        store.append(&Stamped { at_us: now_us(), event: Event::Ended { reason: end.clone() } })?;
        Ok(Outcome { end, left: Vec::new(), store: None })
    };
    if let Err(error) = &machine {
        return end_now(EndReason::Refused { reason: chain(error) });
    }
    if let Some(reason) =
        requirement::unmet(&scenario, &facts, &allowance).or_else(|| inactive_unit(&scenario, &bus))
    {
        return end_now(EndReason::Skipped { reason });
    }
    let plan = match plan::plan(&scenario, &facts, &run) {
        Ok(plan) => plan,
        Err(error) => return end_now(EndReason::SetupFailed { reason: chain(&error) }),
    };
    head.plan = Some(plan.clone());
    store.write_head(&head)?;
    if let Err(refusal) = guard::admit(&plan, &facts, &allowance) {
        return end_now(EndReason::Refused { reason: refusal.to_string() });
    }
    Ok(run::execute(&plan, &paths, &bus, store, outside))
}

/// The first required unit that is not active, in words.
fn inactive_unit(scenario: &Scenario, systemd: &dyn Manager) -> Option<String> {
    scenario.requires.units.iter().map(ToString::to_string).find_map(|name| match systemd.unit(&name) {
        Ok(unit) if unit.is_active() => None,
        Ok(unit) if unit.exists() => {
            let state = unit.active_state.unwrap_or_else(|| "in an unknown state".into());
            Some(format!("needs {name} to be active, and here it is {state}"))
        }
        Ok(_) => Some(format!("needs {name}, which does not exist here")),
        Err(error) => Some(format!("needs {name}, whose state could not be read: {error}")),
    })
}

/// Unique on this machine since boot: the time in base 36 is short enough for unit names.
fn run_id() -> String {
    let mut number = now_us() ^ (u64::from(std::process::id()) << 40);
    let mut id = String::new();
    while number > 0 && id.len() < 10 {
        id.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
    }
    format!("r{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{Fake, Unit};

    #[test]
    fn a_required_unit_must_be_active() {
        let text = include_str!("../../../scenarios/hard-cap-kill.toml");
        let text = text.replace("[requires]\n", "[requires]\nunits = [\"earlyoom.service\"]\n");
        let scenario = Scenario::parse("needs.toml", &text).expect("a scenario");
        let systemd = Fake::new(257);
        let state = |active: &str| Unit {
            load_state: "loaded".into(),
            active_state: Some(active.into()),
            ..Unit::absent("earlyoom.service")
        };
        let absent = inactive_unit(&scenario, &systemd);
        assert_eq!(absent.as_deref(), Some("needs earlyoom.service, which does not exist here"));
        systemd.put(state("failed"));
        let failed = inactive_unit(&scenario, &systemd);
        assert_eq!(failed.as_deref(), Some("needs earlyoom.service to be active, and here it is failed"));
        systemd.put(state("active"));
        assert_eq!(inactive_unit(&scenario, &systemd), None);
    }
}
