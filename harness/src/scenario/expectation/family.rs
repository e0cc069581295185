//! What each kind of expectation means, for `bulkhead explain`.

/// A kind of expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The key in `[[expect]]`, or the reserved id.
    pub name: &'static str,
    /// When it holds, when it fails and when it cannot be told.
    pub about: &'static str,
    /// One way to write it; empty for what every scenario has by itself.
    pub example: &'static str,
}

/// Every kind of expectation, the built-in ones last.
#[must_use]
pub const fn families() -> &'static [Family] {
    &FAMILIES
}

const FAMILIES: [Family; 11] = [
    Family {
        name: "kill",
        about: "The victim died, and the named killer did it. A SIGKILL alone proves nothing: the kill is attributed \
from witnesses that must agree: the kernel's log record, memory.events of a slice that outlives the victim, the wait \
status of the process, and what systemd, systemd-oomd or earlyoom recorded. The right victim killed by the wrong killer \
is `fail`. A lost log record leaves the other witnesses; the finding names the missing one. For `memcg`, `limit` names \
the cgroup whose limit was hit: `oom` in its memory.events.local rises, while `oom_kill` rises for the victim's own \
cgroup, and would also rise in a machine-wide OOM. `at` bounds the size at the kill; charges come in batches of 64 \
pages for each CPU, so a very small `within-percent` fails by chance. `limit = \"run\"` is the cap that the harness puts \
around a run, which holds a balloon whose own cap is broken. By `exit` the victim left by itself: with code 0, or with the \
`code` that is named.",
        example: "kill = { victim = \"hog\", by = \"memcg\", limit = \"work\", at = { percent = 100, of = \"work.MemoryMax\", within-percent = 2 } }",
    },
    Family {
        name: "only-victims",
        about: "No OOM killer took any process on the whole machine but these actors. With an empty list nobody may be \
killed at all. The machine's oom_kill counter must agree with the victims that are known; a kill without a known victim \
is `fail`, a record of another process as victim too.",
        example: "only-victims = [\"hog\"]",
    },
    Family {
        name: "survives",
        about: "Each of these actors is the same process at the end as at the start, and still running. A restart does \
not count as survival. An actor that lives but makes no progress survives; add a metric for its progress.",
        example: "survives = [\"server\"]",
    },
    Family {
        name: "metric",
        about: "A number of the catalogue stays within its bounds during the phase. `max` and `min` bound every sample, \
`max-delta` and `min-delta` the last minus the first sample, `max-rate` and `min-rate` the change a second (for a metric \
that counts time: the share of wall time). A bound may be relative to a declared limit, always as the file declares it, \
or to the same statistic in an earlier phase of the same run, which is the only honest bound for latencies on an emulated \
machine. A sample that could not be read makes it inconclusive, never a pass.",
        example: "metric = \"canary:gap.p99\"\nmax = { percent = 200, of-phase = \"baseline\" }\nduring = \"stress\"",
    },
    Family {
        name: "no-livelock",
        about: "The cgroup does not hang with nobody acting. It hangs when these signs hold together: usage stays between MemoryHigh \
and MemoryMax, the hog's progress is below 5 % of what it was before, its pressure is full for at least 80 % of the time, \
and oom_kill stays flat. Pressure alone is not enough: it is also high where a lone hog is throttled and dies later.",
        example: "no-livelock = { cgroup = \"work\", hog = \"hog\" }",
    },
    Family {
        name: "oomd",
        about: "systemd-oomd was armed for exactly this cgroup: its own dump (the one that oomctl shows) lists the cgroup \
under the trigger, and does not say that it is a dry run. Without this, a machine on which oomd did nothing proves \
nothing: by default it watches no slice of yours. That it acted is another claim: `kill` with by = \"systemd-oomd\". A \
dump that could not be taken makes it inconclusive.",
        example: "oomd = { watches = \"work\", trigger = \"pressure\" }",
    },
    Family {
        name: "earlyoom",
        about: "earlyoom, by its own lines, selected at least one process, each selected one is among `selects`, and none \
is among `never`. With `signals`, each line names one of them, and each of them was named. In a dry run a selection is \
all there is; a live one has its `kill` with by = \"earlyoom\" to claim on top. A process whose pid is no actor's is \
a wrong selection. Each selection must follow from a threshold of [earlyoom] that was crossed, by its own lines. Lines that \
could not be read make it inconclusive.",
        example: "earlyoom = { selects = [\"hog\"], never = [\"server\"], signals = [\"SIGTERM\"] }",
    },
    Family {
        name: "kill-order",
        about: "Each of these actors was killed, whoever did it, and in this order. A killed actor that is not listed \
does not matter; one that lives or exited by itself is `fail`. Kills whose order the witnesses cannot tell make it \
inconclusive.",
        example: "kill-order = [\"cheap\", \"dear\"]",
    },
    Family {
        name: "reached",
        about: "The stress arrived: the metric of [reached] met its bound in time. If it did not, the verdict is \
inconclusive, whatever else holds: a run without stress proves nothing about containment. It cannot stand in must-fail.",
        example: "",
    },
    Family {
        name: "protected-unchanged",
        about: "Every unit of [protect] has the same InvocationID, MainPID and NRestarts before and after the run, so it \
neither died nor restarted. Twins may name it in must-fail.",
        example: "",
    },
    Family {
        name: "protected-answers",
        about: "Every probe of [protect] was answered within its time, throughout the stress and not only after it. A \
unit that is active but does not answer is not well. Twins may name it in must-fail.",
        example: "",
    },
];

#[cfg(test)]
mod tests {
    use super::super::{CLAIMS, RESERVED};
    use super::families;

    #[test]
    fn everything_that_can_be_claimed_is_explained() {
        let names: Vec<_> = families().iter().map(|family| family.name).collect();
        assert_eq!(names[..CLAIMS.len()], CLAIMS);
        assert_eq!(names[CLAIMS.len()..], RESERVED);
    }
}
