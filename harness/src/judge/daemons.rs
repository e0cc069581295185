//! What the OOM killers in user space said in a run, and whether their silence says anything.

use super::view::View;
use crate::killer::{Daemon, Says};
use crate::plan::Start;
use crate::record::Event;

/// A line of a killer that means something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    /// The unit that logged it, where that is known.
    pub(super) unit: Option<&'a str>,
    pub(super) line: &'a str,
    pub(super) says: Says<'a>,
}

impl<'a> View<'a> {
    /// What a daemon logged, in order, with the unit that logged it, where that is known.
    pub(super) fn lines_of(&self, daemon: &Daemon) -> Vec<(Option<&'a str>, &'a str)> {
        let name = daemon.killer.word();
        let lines = self.all(|event| match event {
            Event::DaemonLine { daemon, unit, line } if daemon == name => {
                Some((unit.as_deref(), line.as_str()))
            }
            _ => None,
        });
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// What those units of a daemon say that kill. A dry run chooses and kills nobody, and speaks for no other.
    pub(super) fn heard(&self, daemon: &Daemon) -> Vec<Heard<'a>> {
        let lines = self.lines_of(daemon).into_iter();
        let heard: Vec<Heard<'a>> =
            lines.filter_map(|(unit, line)| Some(Heard { unit, line, says: (daemon.says)(line)? })).collect();
        let dry: Vec<Option<&str>> =
            heard.iter().filter(|heard| heard.says == Says::RunsDry).map(|heard| heard.unit).collect();
        heard.into_iter().filter(|heard| !dry.contains(&heard.unit)).collect()
    }

    /// Why the silence of a daemon says nothing; none when it does not run, or was heard to the end of the stress.
    pub(super) fn unheard(&self, daemon: &Daemon) -> Option<String> {
        let units = self.units_of(daemon);
        if units.is_empty() {
            let host = self.record.head.host.as_ref();
            let asked = host.is_some_and(|host| host.killers.contains_key(&daemon.killer));
            return (!asked).then(|| format!("whether {} is running is not known", daemon.killer));
        }
        // Read up to a mark of the harness's own: only then does silence say something.
        if self.find(|event| matches!(event, Event::DaemonLogRead { .. }).then_some(())).is_none() {
            return Some("its log could not be read".into());
        }
        let muted = self.find(|event| match event {
            Event::DaemonMuted { unit, why } if units.iter().any(|(of, _)| of == unit) => {
                Some(format!("{unit} does not log reliably: {why}"))
            }
            _ => None,
        });
        muted.map(|(_, why)| why).or_else(|| {
            let lasting = units.iter().filter(|(_, lasts)| *lasts && self.reads_again());
            lasting.map(|(unit, _)| *unit).find_map(|unit| self.not_throughout(unit))
        })
    }

    /// The units under which a daemon runs in this run, and whether it must still run when the stress is over.
    fn units_of(&self, daemon: &Daemon) -> Vec<(&'a str, bool)> {
        let units = self.plan.daemons.iter().filter(|planned| planned.killer == daemon.killer);
        let lasts = |start: &Option<Start>| start.as_ref().is_none_or(|start| start.for_us.is_none());
        units.map(|planned| (planned.unit.as_str(), lasts(&planned.start))).collect()
    }
}
