//! A plan in words, with the lines an operator could type to do the same.

mod command;

use std::fmt::Write;

use super::argv::filled;
use super::{Moment, Place, Plan, PlannedActor, PlannedDaemon, PlannedProtect, PlannedUnit, Start};
use crate::property::UnitKind;
use crate::scenario::actor::Release;

/// Renders a plan.
#[must_use]
pub fn print(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut out, plan);
    out
}

fn write_plan(out: &mut String, plan: &Plan) -> std::fmt::Result {
    let twin = plan.twin.as_deref().map(|twin| format!(", twin {twin}")).unwrap_or_default();
    writeln!(out, "# {}{twin}: {}", plan.scenario, plan.safety)?;
    writeln!(
        out,
        "# baseline {}, stress observed for at most {}, PID 1 ends every unit after {}",
        seconds(plan.baseline_us),
        seconds(plan.observe_us),
        seconds(plan.deadline_us)
    )?;
    if let Some(enough) = plan.enough_us {
        writeln!(out, "# ends when the stress has been held for {}", seconds(enough))?;
    }
    if plan.hold_us > 0 {
        writeln!(out, "# counts only if the stress is held for at least {}", seconds(plan.hold_us))?;
    }
    match plan.most_memory() {
        Some(bytes) => writeln!(out, "# uses at most {} MiB, by the harness's own caps", bytes >> 20)?,
        None => writeln!(out, "# not capped by the harness: for disposable machines only")?,
    }
    if plan.most_disk() > 0 {
        writeln!(out, "# writes at most {} MiB to disk", plan.most_disk().div_ceil(1 << 20))?;
    }
    let dog = &plan.watchdog;
    writeln!(
        out,
        "# stopped below {} MiB MemAvailable, or after {} without a sample",
        dog.min_available >> 20,
        seconds(dog.max_silence_us)
    )?;
    writeln!(out, "\n# slices")?;
    let own = std::iter::once(&plan.slice).chain(&plan.outer);
    for unit in own.clone().chain(plan.cgroups.iter().filter(|unit| unit.kind == UnitKind::Slice)) {
        write_slice(out, unit)?;
    }
    writeln!(
        out,
        "\n# actors: in a run each waits until its cgroup and its oom_score_adj are verified; typed in, it starts at once"
    )?;
    for actor in &plan.actors {
        write_actor(out, plan, actor)?;
    }
    let started = || plan.daemons.iter().filter_map(|daemon| Some((daemon, daemon.start.as_ref()?)));
    for (daemon, start) in started() {
        write_daemon(out, daemon, start)?;
    }
    write_protected(out, &plan.protect)?;
    writeln!(out, "\n# undo, also after a kill -9 (bulkhead recover)")?;
    for (daemon, _) in started() {
        writeln!(out, "{}", command::stop(&daemon.unit))?;
    }
    for actor in plan.actors.iter().rev() {
        writeln!(out, "{}", command::stop(&actor.unit))?;
    }
    for unit in plan.cgroups.iter().rev().filter(|unit| unit.kind == UnitKind::Slice) {
        writeln!(out, "{}", command::stop(&unit.unit))?;
    }
    for unit in own.rev() {
        writeln!(out, "{}", command::stop(&unit.unit))?;
    }
    Ok(())
}

fn write_slice(out: &mut String, unit: &PlannedUnit) -> std::fmt::Result {
    writeln!(out, "# {}: {}", unit.name, unit.cgroup)?;
    for line in command::slice(&unit.unit, &unit.properties) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn write_actor(out: &mut String, plan: &Plan, actor: &PlannedActor) -> std::fmt::Result {
    let when = match actor.release {
        Release::Baseline => "the baseline",
        Release::Stress => "the stress",
    };
    let delay = if actor.delay_us == 0 { String::new() } else { format!(" + {}", seconds(actor.delay_us)) };
    writeln!(
        out,
        "# {} ({}): released with {when}{delay}, oom_score_adj {}",
        actor.id, actor.kind, actor.oom_score_adj
    )?;
    let shared = plan.cgroups.iter().find(|unit| unit.unit == actor.unit);
    let properties = shared.map_or(&actor.properties, |unit| &unit.properties);
    let argv = typed(actor);
    let line = match actor.place {
        Place::OwnScope | Place::SharedScope => command::scope(&actor.unit, &actor.slice, &argv, properties),
        Place::ServiceMain => command::service(&actor.unit, &actor.slice, &argv, properties),
        Place::InService => {
            format!("{} & echo $! > /sys/fs/cgroup{}/cgroup.procs", argv.join(" "), actor.cgroup.path())
        }
    };
    writeln!(out, "{line}")
}

fn write_daemon(out: &mut String, daemon: &PlannedDaemon, start: &Start) -> std::fmt::Result {
    let moment = match start.release {
        Moment::Baseline => "with the baseline",
        Moment::Stress => "with the stress",
        Moment::Hold => "when the stress is reached",
    };
    let long = start.for_us.map(|us| format!(", for {}", seconds(us))).unwrap_or_default();
    writeln!(out, "\n# {}: started {moment}{long}", daemon.killer)?;
    let line = command::service(&daemon.unit, &start.slice, &start.argv, &start.properties);
    writeln!(out, "{line}")
}

fn write_protected(out: &mut String, protect: &PlannedProtect) -> std::fmt::Result {
    if protect.units.is_empty() && protect.answers.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n# protected: the same processes before and after, and answers throughout")?;
    if !protect.units.is_empty() {
        let units = protect.units.iter().map(|unit| &**unit).collect::<Vec<_>>().join(" ");
        writeln!(out, "systemctl show -p InvocationID,MainPID,NRestarts {units}")?;
    }
    for answer in &protect.answers {
        let (every, within) = (seconds(answer.every_us), seconds(answer.within_us));
        writeln!(out, "# {} every {every}, within {within}", answer.target)?;
    }
    Ok(())
}

/// An actor's command line for somebody without a harness: nobody would end its wait, and paths are its own.
fn typed(actor: &PlannedActor) -> Vec<String> {
    let waits = |word: &String| word == "--wait" || word.starts_with("--wait-timeout=");
    let mut argv =
        filled(&actor.argv, &format!("/run/{}.status", actor.id), &format!("/var/tmp/{}", actor.id));
    argv.retain(|word| !waits(word));
    argv
}

fn seconds(us: u64) -> String {
    format!("{} s", us as f64 / 1e6)
}
