//! What a scenario needs against what the machine has. An unmet requirement skips the scenario and says why.

use crate::allowance::{self, Allowance};
use crate::host::HostFacts;
use crate::scenario::Scenario;
use crate::scenario::requires::SwapNeed;
use crate::scenario::safety::Safety;

/// The first requirement that is not met, in words with numbers.
#[must_use]
pub fn unmet(scenario: &Scenario, host: &HostFacts, allowance: &Allowance) -> Option<String> {
    let needs = &scenario.requires;
    let checks = [
        disposable(scenario.safety, allowance),
        needs.memory.and_then(|needed| at_least("memory", host.memory_total, needed.0)),
        needs.swap.and_then(|needed| swap(needed, host)),
        needs.swap_rate.and_then(|needed| swap_rate(needed.0, allowance)),
        needs.kernel.and_then(|needed| match host.kernel() {
            Some(found) if found >= (u32::from(needed.major), u32::from(needed.minor)) => None,
            Some((major, minor)) => Some(format!("needs kernel {needed}, this machine runs {major}.{minor}")),
            None => Some(format!("needs kernel {needed}, and the kernel's version could not be read here")),
        }),
        needs.systemd.and_then(|needed| match host.systemd_version {
            Some(found) if found >= needed => None,
            Some(found) => Some(format!("needs systemd {needed}, this machine runs {found}")),
            None => Some(format!("needs systemd {needed}, and its version could not be read here")),
        }),
        needs.cpus.and_then(|needed| match host.cpus {
            Some(found) if found >= needed => None,
            Some(found) => Some(format!("needs {needed} CPUs, this machine has {found}")),
            None => Some(format!("needs {needed} CPUs, and their number could not be read here")),
        }),
    ];
    checks.into_iter().flatten().next()
}

fn disposable(safety: Safety, allowance: &Allowance) -> Option<String> {
    (safety != Safety::Contained && !allowance.disposable)
        .then(|| format!("is {safety}, and this machine is not marked disposable in {}", allowance::PATH))
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
fn swap_rate(needed: u64, allowance: &Allowance) -> Option<String> {
    match allowance.swap_rate {
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn needing(requires: &str) -> Scenario {
        let text = include_str!("../../scenarios/hard-cap-kill.toml");
        let start = text.find("[requires]").expect("a section");
        let end = text.find("[cgroup.work]").expect("the next section");
        let text = format!("{}[requires]\n{requires}\n{}", &text[..start], &text[end..]);
        Scenario::parse("needing.toml", &text).expect("a scenario")
    }

    fn machine() -> HostFacts {
        HostFacts {
            kernel_release: Some("6.1.0-37-amd64".into()),
            systemd_version: Some(252),
            cpus: Some(2),
            memory_total: Some(2 << 30),
            swap_total: Some(0),
            ..HostFacts::default()
        }
    }

    #[rstest]
    #[case::memory("memory = \"2G\"", None)]
    #[case::more_memory("memory = \"3G\"", Some("needs 3072 MiB of memory, this machine has 2048 MiB"))]
    #[case::swap("swap = \"1G\"", Some("needs 1024 MiB of swap, this machine has 0 MiB"))]
    #[case::no_swap("swap = \"none\"", None)]
    #[case::the_same_kernel("kernel = \"6.1\"", None)]
    #[case::an_older_kernel("kernel = \"5.19\"", None)]
    #[case::a_newer_kernel("kernel = \"6.12\"", Some("needs kernel 6.12, this machine runs 6.1"))]
    #[case::systemd("systemd = 252", None)]
    #[case::a_newer_systemd("systemd = 253", Some("needs systemd 253, this machine runs 252"))]
    #[case::cpus("cpus = 2", None)]
    #[case::more_cpus("cpus = 3", Some("needs 3 CPUs, this machine has 2"))]
    fn what_is_missing_is_said_with_numbers(#[case] requires: &str, #[case] reason: Option<&str>) {
        let found = unmet(&needing(requires), &machine(), &Allowance::default());
        assert_eq!(found.as_deref(), reason);
    }

    #[rstest]
    #[case("memory = \"1G\"")]
    #[case("swap = \"1G\"")]
    #[case("swap = \"none\"")]
    #[case("kernel = \"5.19\"")]
    #[case("systemd = 252")]
    #[case("cpus = 1")]
    fn what_could_not_be_read_is_not_met(#[case] requires: &str) {
        let reason = unmet(&needing(requires), &HostFacts::default(), &Allowance::default());
        assert!(reason.is_some_and(|words| words.contains("could not be read here")));
    }

    #[rstest]
    #[case(Safety::Contained, false, true)]
    #[case(Safety::Pressure, false, false)]
    #[case(Safety::Destructive, false, false)]
    #[case(Safety::Destructive, true, true)]
    fn what_may_cost_the_machine_runs_only_where_it_may_be_lost(
        #[case] safety: Safety,
        #[case] disposable: bool,
        #[case] runs: bool,
    ) {
        let scenario = Scenario { safety, ..needing("") };
        let allowance = Allowance { disposable, ..Allowance::default() };
        let reason = unmet(&scenario, &machine(), &allowance);
        assert_eq!(reason.is_none(), runs, "{reason:?}");
    }
}
