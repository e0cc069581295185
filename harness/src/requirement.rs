//! What a scenario needs against what the machine has. An unmet requirement skips the scenario and says why.

use crate::guard::HostPolicy;
use crate::host::HostFacts;
use crate::scenario::Scenario;
use crate::scenario::requires::SwapNeed;
use crate::scenario::safety::Safety;

/// The first requirement that is not met, in words with numbers.
#[must_use]
pub fn unmet(scenario: &Scenario, host: &HostFacts, policy: &HostPolicy) -> Option<String> {
    let needs = &scenario.requires;
    let checks = [
        disposable(scenario.safety, policy),
        needs.memory.and_then(|needed| at_least("memory", host.memory_total, needed.0)),
        needs.swap.and_then(|needed| swap(needed, host)),
        needs.swap_rate.and_then(|needed| swap_rate(needed.0, policy)),
        needs.kernel.and_then(|needed| {
            let (major, minor) = host.kernel()?;
            ((major, minor) < (u32::from(needed.major), u32::from(needed.minor)))
                .then(|| format!("needs kernel {needed}, this machine runs {major}.{minor}"))
        }),
        needs.systemd.and_then(|needed| {
            let found = host.systemd_version?;
            (found < needed).then(|| format!("needs systemd {needed}, this machine runs {found}"))
        }),
        needs.cpus.and_then(|needed| {
            let found = host.cpus?;
            (found < needed).then(|| format!("needs {needed} CPUs, this machine has {found}"))
        }),
    ];
    checks.into_iter().flatten().next()
}

fn disposable(safety: Safety, policy: &HostPolicy) -> Option<String> {
    (safety != Safety::Contained && !policy.disposable).then(|| {
        format!("is {safety}, and this machine is not marked disposable in {}", crate::guard::POLICY_PATH)
    })
}

fn at_least(what: &str, found: Option<u64>, needed: u64) -> Option<String> {
    match found {
        Some(found) if found >= needed => None,
        Some(found) => {
            Some(format!("needs {} MiB of {what}, this machine has {} MiB", needed >> 20, found >> 20))
        }
        None => Some(format!("needs {} MiB of {what}, which could not be read here", needed >> 20)),
    }
}

/// A scenario with a throttled swap device says what it looks like there: a faster one would show nothing.
fn swap_rate(needed: u64, policy: &HostPolicy) -> Option<String> {
    match policy.swap_rate {
        Some(rate) if rate <= needed => None,
        Some(rate) => Some(format!("needs a swap device of {needed} bytes/s at most, this one has {rate}")),
        None => {
            Some(format!("needs a swap device throttled to {needed} bytes/s, which a throwaway VM provides"))
        }
    }
}

fn swap(needed: SwapNeed, host: &HostFacts) -> Option<String> {
    match needed {
        SwapNeed::AtLeast(bytes) => at_least("swap", host.swap_total, bytes.0),
        SwapNeed::None => match host.swap_total {
            Some(0) => None,
            Some(found) => Some(format!("needs a machine without swap, this one has {} MiB", found >> 20)),
            None => Some("needs a machine without swap, and swap could not be read here".into()),
        },
    }
}
