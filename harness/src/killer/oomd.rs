//! systemd-oomd: its log, and the text that `oomctl` prints → which cgroups it watches, and whether it is armed.
//!
//! The text is made for people and differs between versions (252 lists no durations, 257 puts a comma after `Used`);
//! only the headings, `Path:` and `Dry Run:` are read, which both have.

use reports::outcome::Killer;

use super::{Daemon, Says, Victims, Voice};
use crate::notation::signal::Signal;

/// systemd-oomd.
pub const DAEMON: Daemon = Daemon {
    killer: Killer::SystemdOomd,
    witness: "oomd",
    unit: "systemd-oomd.service",
    voice: Voice::Systemd,
    victims: Victims::MarkedCgroup,
    signals: &[Signal::Kill],
    says,
};

/// The dump of a running systemd-oomd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// Whether it only says what it would kill; none when the dump does not tell.
    pub dry_run: Option<bool>,
    /// Cgroups watched for swap use.
    pub swap: Vec<String>,
    /// Cgroups watched for memory pressure.
    pub pressure: Vec<String>,
}

/// Reads a dump.
#[must_use]
pub fn parse(text: &str) -> Dump {
    let mut dump = Dump::default();
    let mut list: Option<&mut Vec<String>> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(word) = trimmed.strip_prefix("Dry Run:") {
            dump.dry_run = match word.trim() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            };
        } else if trimmed == "Swap Monitored CGroups:" {
            list = Some(&mut dump.swap);
        } else if trimmed == "Memory Pressure Monitored CGroups:" {
            list = Some(&mut dump.pressure);
        } else if let (Some(path), Some(list)) = (trimmed.strip_prefix("Path:"), list.as_deref_mut()) {
            list.push(path.trim().to_owned());
        }
    }
    dump
}

/// `Killed PATH due to …`.
fn says(line: &str) -> Option<Says<'_>> {
    let cgroup = line.strip_prefix("Killed ")?.split(" due to ").next()?;
    cgroup.starts_with('/').then_some(Says::Killed { cgroup })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// systemd 252 and 257 print the same headings; the second has commas and durations.
    const DUMP_257: &str = "Dry Run: no\nSwap Used Limit: 90.00%\nDefault Memory Pressure Limit: 60.00%\n\
        Default Memory Pressure Duration: 30s\nSystem Context:\n\tMemory: Used: 290.1M, Total: 1.9G\n\
        \tSwap: Used: 0B, Total: 0B\nSwap Monitored CGroups:\n\tPath: /a.slice\n\
        \t\tSwap Usage: (see System Context)\nMemory Pressure Monitored CGroups:\n\
        \tPath: /bulkhead.slice/b.slice\n\t\tMemory Pressure Limit: 10.00%\n\t\tMemory Pressure Duration: 5s\n\
        \t\tPressure: Avg10: 0.00, Avg60: 0.00, Avg300: 0.00, Total: 0\n\t\tCurrent Memory Usage: 1.0M\n";

    #[test]
    fn each_list_holds_its_own_paths() {
        let dump = parse(DUMP_257);
        assert_eq!(dump.dry_run, Some(false));
        assert_eq!(dump.swap, ["/a.slice"]);
        assert_eq!(dump.pressure, ["/bulkhead.slice/b.slice"]);
    }

    #[test]
    fn a_dump_without_its_lines_says_nothing() {
        assert_eq!(parse("Failed to connect to bus"), Dump::default());
    }

    #[rstest]
    #[case(
        "Killed /w.slice/x.scope due to memory pressure for /w.slice being 97.1% > 10.0% for > 5s with reclaim activity",
        Some("/w.slice/x.scope")
    )]
    #[case(
        "Killed /w.slice/x.scope due to memory used (1) / total (2) and swap used (3) / total (4) being more than 90.00%",
        Some("/w.slice/x.scope")
    )]
    #[case("Considered 1 cgroups for killing", None)]
    #[case("Killed process 12", None)]
    fn a_kill_names_its_cgroup(#[case] line: &str, #[case] path: Option<&str>) {
        assert_eq!(says(line), path.map(|cgroup| Says::Killed { cgroup }));
    }
}
