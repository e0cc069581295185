//! Which columns a sample of a cgroup has, and which file and key each comes from.

/// How the numbers stand in a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// One number.
    Number,
    /// `key value` lines; these keys are wanted.
    Keyed(&'static [&'static str]),
    /// A pressure file: the totals of `some` and `full`.
    Pressure,
}

/// One file: its name, its shape, and how many columns it fills.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) file: &'static str,
    pub(super) shape: Shape,
    pub(super) width: usize,
}

const EVENTS: &[&str] = &["low", "high", "max", "oom", "oom_kill", "oom_group_kill"];

const fn number(file: &'static str) -> Source {
    Source { file, shape: Shape::Number, width: 1 }
}

const fn keyed(file: &'static str, keys: &'static [&'static str]) -> Source {
    Source { file, shape: Shape::Keyed(keys), width: keys.len() }
}

pub(super) const SOURCES: [Source; 10] = [
    number("memory.current"),
    number("memory.peak"),
    keyed("memory.events", EVENTS),
    keyed("memory.events.local", EVENTS),
    keyed(
        "memory.stat",
        &[
            "anon",
            "file",
            "shmem",
            "kernel",
            "pgscan",
            "pgsteal",
            "pgfault",
            "pgmajfault",
            "workingset_refault_anon",
            "workingset_refault_file",
        ],
    ),
    Source { file: "memory.pressure", shape: Shape::Pressure, width: 2 },
    number("memory.swap.current"),
    number("memory.swap.peak"),
    keyed("memory.swap.events", &["high", "max", "fail"]),
    keyed("cpu.stat", &["usage_usec"]),
];

/// The metrics of one cgroup in the order in which [`super::CgroupDir::read`] fills a row. Bytes for `memory.current`,
/// `.peak`, `.swap.*` and the first four of `memory.stat`; microseconds since the cgroup was made for
/// `memory.pressure.*` and `cpu.usage`; counts since the cgroup was made for the rest. `memory.events` counts the whole
/// subtree, `memory.events.local` only this cgroup.
pub const COLUMNS: &[&str] = &[
    "memory.current",
    "memory.peak",
    "memory.events.low",
    "memory.events.high",
    "memory.events.max",
    "memory.events.oom",
    "memory.events.oom_kill",
    "memory.events.oom_group_kill",
    "memory.events.local.low",
    "memory.events.local.high",
    "memory.events.local.max",
    "memory.events.local.oom",
    "memory.events.local.oom_kill",
    "memory.events.local.oom_group_kill",
    "memory.stat.anon",
    "memory.stat.file",
    "memory.stat.shmem",
    "memory.stat.kernel",
    "memory.stat.pgscan",
    "memory.stat.pgsteal",
    "memory.stat.pgfault",
    "memory.stat.pgmajfault",
    "memory.stat.workingset_refault_anon",
    "memory.stat.workingset_refault_file",
    "memory.pressure.some",
    "memory.pressure.full",
    "memory.swap.current",
    "memory.swap.peak",
    "memory.swap.events.high",
    "memory.swap.events.max",
    "memory.swap.events.fail",
    "cpu.usage",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_named_after_the_file_and_key_it_comes_from() {
        let mut expected = Vec::new();
        for source in SOURCES {
            match source.shape {
                Shape::Number => expected.push(source.file.to_owned()),
                Shape::Pressure => {
                    expected.extend(["some", "full"].map(|line| format!("{}.{line}", source.file)));
                }
                Shape::Keyed(_) if source.file == "cpu.stat" => expected.push("cpu.usage".to_owned()),
                Shape::Keyed(keys) => {
                    expected.extend(keys.iter().map(|key| format!("{}.{key}", source.file)));
                }
            }
        }
        assert_eq!(COLUMNS, expected);
        assert_eq!(SOURCES.iter().map(|source| source.width).sum::<usize>(), COLUMNS.len());
    }
}
