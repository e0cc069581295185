//! The user-space killers: an earlyoom that can fire and only where it may kill, an oomd that watches, throttled swap.

use reports::outcome::Killer;

use super::Checker;
use super::mib;
use crate::killer::oomd::DAEMON as OOMD;
use crate::notation::bytes::Bytes;
use crate::notation::percent::Percent;
use crate::property::{ManagedOom, PropertyName, PropertyValue};
use crate::reading::places::{Step, join};
use crate::reading::rule::rules;
use crate::scenario::actor::Profile;
use crate::scenario::cgroup::Place;
use crate::scenario::expectation::{EarlyoomClaim, OomdClaim, Trigger};
use crate::scenario::killer::earlyoom::Earlyoom;
use crate::scenario::killer::{OwnKiller, Settings};
use crate::scenario::requires::SwapNeed;
use crate::scenario::rules::shared::CONTRADICTION;
use crate::scenario::safety::Safety;

mod pattern;

rules! {
    Error SWAP_RATE = "swap-rate",
        "`swap-rate` asks for a swap device that is throttled to so many bytes a second. It needs `swap` beside it, and \
        a rate above 0: on a device that does nothing, whoever waits for a page to come back waits for ever.";
    Error LIVE_EARLYOOM = "live-earlyoom",
        "earlyoom chooses its victim among all processes of the machine by their oom_score; no cgroup bounds it. In a \
        contained scenario it may only say whom it would take. Write `dry-run = true`, or say safety = \"pressure\" or \
        \"destructive\".";
    Warning EARLYOOM_NEVER_FIRES = "earlyoom-never-fires",
        "earlyoom looks at what is available on the whole machine. A hog under a cap that is far below the machine's \
        memory leaves more than the threshold, and earlyoom says nothing. Raise `term-memory`: 99 fires on almost any \
        machine, and in a dry run that harms nobody. It is fine where its silence is what you want to see.";
    Warning NAME_TOO_LONG = "name-too-long",
        "earlyoom matches --prefer and --avoid against /proc/PID/comm, where the kernel keeps 15 bytes of a name. A \
        longer name between ^ and $ never matches. Write its first 15 bytes.";
    Error KILLER_NOT_RUNNING = "killer-not-running",
        "The claim is about what systemd-oomd or earlyoom says, and nothing in the file makes sure that it runs. Add \
        units = [\"systemd-oomd.service\"] to [requires], or an [earlyoom] table.";
    Error OOMD_NOT_WATCHING = "oomd-not-watching",
        "systemd-oomd watches a cgroup only where its unit says ManagedOOMMemoryPressure=kill or ManagedOOMSwap=kill; \
        the default, `auto`, does not. Add the property that belongs to the trigger to the [cgroup.NAME].";
}

/// What the rest of a small machine takes at most, so that a warning is not given by mistake.
const OTHERS: u64 = 256 << 20;

/// What is left of a process name in `/proc/PID/comm`.
const COMM_BYTES: usize = 15;

pub(super) fn check(checker: &mut Checker<'_>) {
    let requires = &checker.scenario.requires;
    if requires.swap_rate.is_some() && !matches!(requires.swap, Some(SwapNeed::AtLeast(_))) {
        let path = ["requires".into(), "swap-rate".into()];
        let problem = checker.report(SWAP_RATE, &path, "there is no swap whose rate could be throttled");
        problem.help.push("add `swap` to [requires], such as swap = \"256M\"".to_owned());
    }
    if requires.swap_rate == Some(Bytes(0)) {
        checker.report(
            SWAP_RATE,
            &["requires".into(), "swap-rate".into()],
            "a swap device that does nothing hangs the machine",
        );
    }
    for own in &checker.scenario.killers {
        check_own(checker, own);
    }
}

fn check_own(checker: &mut Checker<'_>, own: &OwnKiller) {
    let Settings::Earlyoom(earlyoom) = &own.settings;
    if !own.dry_run && checker.scenario.safety == Safety::Contained {
        let problem = checker.report(
            LIVE_EARLYOOM,
            &["earlyoom".into(), "dry-run".into()],
            "a live earlyoom may kill any process of the machine, and this scenario is contained",
        );
        problem.help.push("say `dry-run = true`, or safety = \"pressure\" or \"destructive\"".to_owned());
    }
    if own.dry_run {
        check_threshold(checker, earlyoom);
    }
    for (key, pattern) in [("prefer", &earlyoom.prefer), ("avoid", &earlyoom.avoid)] {
        for literal in pattern.iter().flat_map(|pattern| pattern::whole_names(pattern)) {
            if literal.len() > COMM_BYTES {
                check_literal(checker, key, &literal);
            }
        }
    }
}

/// earlyoom looks at the machine: a hog under a cap far below its memory never makes it fire.
fn check_threshold(checker: &mut Checker<'_>, earlyoom: &Earlyoom) {
    let (Some(machine), Some(taken)) = (checker.machine(), taken(checker)) else {
        return;
    };
    let left = machine.0.saturating_sub(taken.0).saturating_sub(OTHERS);
    let term = Percent(u32::from(earlyoom.term_memory) * 100);
    if left <= term.of(machine.0) {
        return;
    }
    let message = format!(
        "at term-memory = {} earlyoom never fires: the balloons take {} of the {machine} that [requires] promises",
        earlyoom.term_memory,
        mib(taken)
    );
    checker
        .report(EARLYOOM_NEVER_FIRES, &["earlyoom".into(), "term-memory".into()], message)
        .help
        .push("99 fires on almost any machine, and in a dry run that harms nobody".to_owned());
}

/// The most that all balloons take together under the caps in force; `None` when that is not known.
fn taken(checker: &Checker<'_>) -> Option<Bytes> {
    let mut total: u64 = 0;
    for actor in &checker.scenario.actors {
        let Some(balloon) = actor.balloon() else {
            continue;
        };
        let size = match balloon.profile {
            Profile::Grow => u64::MAX,
            Profile::Ramp | Profile::Plateau | Profile::Sawtooth => checker.size(&balloon.size)?.0,
        };
        let caps = match &actor.place {
            Place::Cgroup(id) => checker.chain(id).0,
            Place::Slice(_) => Vec::new(),
        };
        let caps = caps.iter().filter_map(|id| checker.limit(checker.scenario.limit(id, "MemoryMax")?));
        let cap = caps.map(|cap| cap.0).min().unwrap_or(u64::MAX);
        total = total.saturating_add(size.min(cap));
    }
    Some(Bytes(total))
}

fn check_literal(checker: &mut Checker<'_>, key: &str, literal: &str) {
    let mut end = COMM_BYTES;
    while !literal.is_char_boundary(end) {
        end -= 1;
    }
    let message = format!("`{key}` never matches `{literal}`: it has {} bytes", literal.len());
    let problem = checker.report(NAME_TOO_LONG, &["earlyoom".into(), key.into()], message);
    problem
        .notes
        .push("earlyoom matches /proc/PID/comm, where the kernel keeps 15 bytes of a name".to_owned());
    problem.help.push(format!("write `{}`", &literal[..end]));
}

/// oomd must run, and must have been told to watch this cgroup: by default it watches no slice of a scenario.
pub(super) fn check_oomd(checker: &mut Checker<'_>, claim: &OomdClaim, path: &[Step<'_>]) {
    if !checker.scenario.requires.units.iter().any(|unit| **unit == *OOMD.unit) {
        let problem = checker.report(KILLER_NOT_RUNNING, path, "nothing says that systemd-oomd runs");
        problem.help.push(format!("add units = [\"{}\"] to [requires]", OOMD.unit));
    }
    let (name, other) = match claim.trigger {
        Trigger::Pressure => (PropertyName::ManagedOOMMemoryPressure, "memory pressure"),
        Trigger::Swap => (PropertyName::ManagedOOMSwap, "swap"),
    };
    let Some(cgroup) = checker.scenario.cgroup(&claim.watches) else {
        return;
    };
    let kill = cgroup.properties.iter().any(|property| {
        property.name == name && property.value == PropertyValue::ManagedOom(ManagedOom::Kill)
    });
    if !kill {
        let message = format!("systemd-oomd does not watch `{}` for {other}", claim.watches);
        let path = join(path, &["watches".into()]);
        let help = format!("add {name} = \"kill\" to [cgroup.{}]", claim.watches);
        checker.report(OOMD_NOT_WATCHING, &path, message).help.push(help);
    }
}

/// A claim about earlyoom needs one that runs, and nobody can be both selected and not.
pub(super) fn check_selection(checker: &mut Checker<'_>, claim: &EarlyoomClaim, path: &[Step<'_>]) {
    if checker.scenario.own_killer(Killer::Earlyoom).is_none() {
        let message = "no earlyoom runs whose lines could be read";
        checker.report(KILLER_NOT_RUNNING, path, message).help.push("add an [earlyoom] table".to_owned());
    }
    if let Some(both) = claim.selects.iter().find(|id| claim.never.contains(id)) {
        let path = join(path, &["never".into()]);
        checker.report(CONTRADICTION, &path, format!("`{both}` cannot be among `selects` and `never`"));
    }
}
