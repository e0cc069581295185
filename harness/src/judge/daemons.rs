//! What the OOM killers in user space said in a run, and whether their silence says anything.

use reports::outcome::Killer;

use super::View;
use crate::killer::{Daemon, Says};
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
            let active = host.and_then(|host| match daemon.killer {
                Killer::SystemdOomd => host.systemd_oomd_active,
                _ => host.earlyoom_active,
            });
            return active.is_none().then(|| format!("whether {} runs could not be learnt", daemon.killer));
        }
        // Read up to a mark of the harness's own: only then does silence say something.
        if self.find(|event| matches!(event, Event::DaemonLogRead { .. }).then_some(())).is_none() {
            return Some("its log could not be read".into());
        }
        let muted = self.find(|event| match event {
            Event::DaemonMuted { unit, why } if units.iter().any(|(of, _)| of == unit) => {
                Some(format!("{unit} could not be heard: {why}"))
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
        let daemons = &self.plan.daemons;
        let own = daemons.earlyoom.as_ref().map(|own| (own.unit.as_str(), own.for_us.is_none()));
        match daemon.killer {
            Killer::SystemdOomd => daemons.oomd.then_some((daemon.unit, true)).into_iter().collect(),
            _ => daemons.machine_earlyoom.then_some((daemon.unit, true)).into_iter().chain(own).collect(),
        }
    }
}
