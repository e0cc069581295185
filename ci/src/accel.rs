//! Does a guest really run on KVM here? → KVM or TCG, and why.
//!
//! That `/dev/kvm` is there, may be opened and answers ioctls proves nothing: on a machine whose nested virtualisation
//! is broken, all of that works and every guest dies. The verdict is remembered until the next boot of this machine or
//! the next QEMU.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::event::{Event, Listener};
use crate::process::Qemu;
use crate::qemu::{Accelerator, Hardware, MEMORY_BYTES, Version, probe_arguments};

/// A kernel says its first line within half a second even on slow machines.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);

/// How guests run here, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What executes them.
    pub accelerator: Accelerator,
    /// What was seen.
    pub reason: String,
}

/// The verdict for this machine, remembered or found out by starting a kernel.
pub(crate) fn judge(
    cache: &Cache,
    version: &Version,
    kernel: &Path,
    on: Listener<'_>,
) -> Result<Verdict, LabError> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // A container may be given the device later than the machine was booted.
    let device = if Path::new("/dev/kvm").exists() { "device" } else { "no device" };
    let key = Digest::new().field(boot).field(&version.full).field(device);
    let path = cache.root().join(format!("accelerator-{key}.json"));
    let remembered = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let cached = remembered.is_some();
    let verdict = match remembered {
        Some(verdict) => verdict,
        None => {
            let verdict = probe(cache, version, kernel)?;
            let text = serde_json::to_vec(&verdict).unwrap_or_default();
            fs::write(&path, text).map_err(LabError::file("write", &path))?;
            verdict
        }
    };
    on(Event::Probe { verdict: &verdict, cached });
    Ok(verdict)
}

fn probe(cache: &Cache, version: &Version, kernel: &Path) -> Result<Verdict, LabError> {
    let tcg = |reason: String| Ok(Verdict { accelerator: Accelerator::Tcg, reason });
    if !Path::new("/dev/kvm").exists() {
        return tcg("there is no /dev/kvm".into());
    }
    let hardware = Hardware { version: version.clone(), accelerator: Accelerator::Kvm, memory: MEMORY_BYTES };
    let scratch = cache.scratch()?;
    let (qemu, _links) = Qemu::start(scratch.path(), |ports| probe_arguments(&hardware, kernel, ports))
        .map_err(LabError::file("run", Path::new("qemu-system-x86_64")))?;
    while qemu.started.elapsed() < PATIENCE {
        if qemu.console.text().contains("Linux version") {
            return Ok(Verdict { accelerator: Accelerator::Kvm, reason: "a guest booted on it".into() });
        }
        match qemu.monitor.status() {
            Ok(status) if status == "internal-error" => {
                return tcg("a guest on KVM stopped with an internal error".into());
            }
            Ok(_) => thread::sleep(GLANCE),
            Err(_) => {
                let status = qemu.wait(PATIENCE).unwrap_or_default();
                // A kernel may have spoken just before its QEMU ended.
                if qemu.console.text().contains("Linux version") {
                    continue;
                }
                let said = qemu.said();
                let said = said.lines().next().unwrap_or_default();
                return tcg(format!("QEMU with KVM ended ({status}): {said}"));
            }
        }
    }
    tcg(format!("a guest on KVM printed nothing for {PATIENCE:?}"))
}

/// What else a state saved on KVM depends on: `-cpu host` passes this machine's processor through.
pub(crate) fn processor_key(accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Tcg => "emulated".into(),
        Accelerator::Kvm => {
            let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let first = text.split("\n\n").next().unwrap_or_default();
            let wanted = ["vendor_id", "cpu family", "model\t", "stepping", "microcode", "flags"];
            first.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))).collect()
        }
    }
}
