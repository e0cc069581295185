//! Which case it is: the one identity from which names, directories, groups and the command to run it again derive. A record
//! begins with it, and a report goes by it.

use serde::{Deserialize, Serialize};

/// The machine of a case that ran on the host itself.
pub const HOST: &str = "host";

/// One run of one scenario or twin on one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseId {
    /// The guest's name, or [`HOST`].
    pub machine: String,
    /// Scenario id.
    pub scenario: String,
    /// Twin id; none for the scenario as written.
    pub twin: Option<String>,
    /// The policy under test; none when the scenario brings its own limits.
    #[serde(default)]
    pub policy: Option<String>,
    /// The tree of that policy that the stress was put into.
    #[serde(default)]
    pub tree: Option<String>,
    /// Which of several runs, from 1.
    pub run: u32,
}

impl CaseId {
    /// `scenario` or `scenario/twin`, with the policy and its tree where there is one: `scenario/twin on policy:tree`.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.scenario.clone();
        if let Some(twin) = &self.twin {
            name += &format!("/{twin}");
        }
        if let Some(policy) = &self.policy {
            name += &format!(" on {policy}");
            name += &self.tree.as_ref().map(|tree| format!(":{tree}")).unwrap_or_default();
        }
        name
    }

    /// A name for its directory among those of its machine, and no other case's: ids have neither dots nor `@` nor `+`.
    #[must_use]
    pub fn dir_name(&self) -> String {
        let mut name = self.scenario.clone();
        name += &self.twin.as_ref().map(|twin| format!(".{twin}")).unwrap_or_default();
        name += &self.policy.as_ref().map(|policy| format!("+{policy}")).unwrap_or_default();
        name += &self.tree.as_ref().map(|tree| format!("+{tree}")).unwrap_or_default();
        if self.run > 1 {
            name += &format!("@{}", self.run);
        }
        name
    }

    /// The machine it ran on; none where that is the one that bulkhead was started on.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&str> {
        Some(self.machine.as_str()).filter(|machine| *machine != HOST)
    }

    /// ` on ` and the machine, to follow a name; nothing on the machine that bulkhead was started on.
    #[must_use]
    pub fn place(&self) -> String {
        self.elsewhere().map(|machine| format!(" on {machine}")).unwrap_or_default()
    }

    /// What its twins and its repetitions stand under: the scenario as written.
    #[must_use]
    pub fn group(&self) -> Self {
        Self { twin: None, run: 1, ..self.clone() }
    }

    /// Whether both are runs of one case.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        Self { run: other.run, ..self.clone() } == *other
    }

    /// A command line that runs exactly this again.
    #[must_use]
    pub fn command(&self) -> String {
        let twin = self.twin.as_deref().unwrap_or("none");
        let place =
            self.elsewhere().map_or_else(|| "--on host".to_owned(), |guest| format!("--guest {guest}"));
        format!("bulkhead run {} --twins {twin} {place}", self.scenario)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(twin: Option<&str>, policy: Option<&str>, tree: Option<&str>, run: u32) -> CaseId {
        let own = |word: Option<&str>| word.map(str::to_owned);
        let (machine, scenario) = ("trixie".to_owned(), "a".to_owned());
        CaseId { machine, scenario, twin: own(twin), policy: own(policy), tree: own(tree), run }
    }

    #[test]
    fn names_tell_everything_but_the_machine() {
        assert_eq!(id(None, None, None, 1).name(), "a");
        assert_eq!(id(Some("t"), Some("p"), Some("x"), 2).name(), "a/t on p:x");
        assert_eq!(id(Some("t"), None, None, 1).command(), "bulkhead run a --twins t --guest trixie");
        let host = CaseId { machine: HOST.into(), ..id(None, None, None, 3) };
        assert_eq!(host.command(), "bulkhead run a --twins none --on host");
    }

    #[test]
    fn only_the_run_may_differ_between_repetitions() {
        let one = id(Some("t"), Some("p"), Some("x"), 1);
        assert!(one.repeats(&CaseId { run: 7, ..one.clone() }));
        let others = [
            id(None, Some("p"), Some("x"), 2),
            id(Some("t"), None, Some("x"), 2),
            id(Some("t"), Some("p"), None, 2),
            CaseId { machine: "bookworm".into(), ..one.clone() },
            CaseId { scenario: "b".into(), ..one.clone() },
        ];
        assert!(others.iter().all(|other| !one.repeats(other)));
        assert!(others[0].group() == one.group() && others[3].group() != one.group());
    }

    /// A twin may be called `2`, and a policy like a twin.
    #[test]
    fn no_two_cases_share_a_directory() {
        let words = [None, Some("2"), Some("b")];
        let mut names = BTreeSet::new();
        let mut cases = 0;
        for twin in words {
            for run in [1, 2, 3] {
                names.insert(id(twin, None, None, run).dir_name());
                cases += 1;
                for policy in ["2", "b"] {
                    for tree in words {
                        names.insert(id(twin, Some(policy), tree, run).dir_name());
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(names.len(), cases);
    }
}
