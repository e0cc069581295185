//! Guests made ready to be cloned, with what that does shown as it happens.

use anyhow::Context;
use ci::{Event, Guest, Installation, Lab};

use crate::display::Display;

/// Prepares a guest; `note` is told of trouble that was overcome.
///
/// # Errors
/// When it cannot be made ready.
pub(super) fn prepare(
    guest: Guest,
    display: &Display,
    note: &(dyn Fn(String) + Sync),
) -> anyhow::Result<Lab> {
    let name = guest.to_string();
    let lab = Lab::prepare(guest, &|event| show(&name, &event, display, note));
    lab.with_context(|| format!("the {guest} guest could not be prepared"))
}

/// Installs something into a guest that has been prepared, unless the cache has it.
///
/// # Errors
/// When a command of it fails or the guest does not boot with it.
pub(super) fn install(lab: &Lab, installation: &Installation, display: &Display) -> anyhow::Result<Lab> {
    let name = lab.guest().to_string();
    let installed = lab.install(installation, &|event| show(&name, &event, display, &|_| {}));
    installed.with_context(|| format!("{} could not be installed", installation.name))
}

fn show(name: &str, event: &Event<'_>, display: &Display, note: &(dyn Fn(String) + Sync)) {
    match event {
        Event::Waiting { entry } => {
            display.doing(name, &format!("waiting for another run to build {entry}"));
        }
        Event::ImageBuild { step, line, .. } => display.doing(name, &format!("image: {step} {line}")),
        Event::ImageReady { cached: false, took, .. } => {
            display.done(name, &format!("image built in {:.1} s", took.as_secs_f64()));
        }
        Event::InstallStart { name: what, .. } => display.doing(name, &format!("installing {what}")),
        Event::Install { line } => display.doing(name, &format!("installing: {line}")),
        Event::BootStart { .. } => display.doing(name, "booting"),
        Event::Boot { line } => display.doing(name, &format!("booting: {line}")),
        Event::BootEnd { took } => {
            display.doing(name, &format!("answered after {:.1} s, settling", took.as_secs_f64()));
        }
        Event::BootRetry { why } => {
            let words = format!("{name}: the VM failed, not a scenario; retrying the boot: {why}");
            display.done(name, &words);
            note(words);
        }
        Event::TemplateReady { cached: false, took, .. } => {
            display.done(name, &format!("ready to clone after {:.1} s", took.as_secs_f64()));
        }
        Event::Probe { .. }
        | Event::Settled { .. }
        | Event::ImageReady { .. }
        | Event::TemplateReady { .. } => {}
    }
}
