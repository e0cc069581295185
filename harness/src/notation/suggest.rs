//! A misspelt name and the names that would be right → the nearest one, or none when nothing is near.
//!
//! Distance is counted in edits (insert, drop, replace, swap two neighbours); case, `-`, `_`, `.` and spaces do
//! not count. It never guesses across more than a third of the name.

/// The candidate nearest to `wrong`, if one is near enough to be meant.
pub fn nearest<'c>(wrong: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let folded = fold(wrong);
    let allowed = (folded.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&folded, &fold(candidate)), candidate))
        .filter(|(edits, candidate)| *edits <= allowed || contains(&folded, candidate))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate.to_owned())
}

/// A long fragment of a name (`oom_kill` for `memory.events.oom_kill`) is meant as that name.
fn contains(folded: &str, candidate: &str) -> bool {
    folded.len() >= 4 && fold(candidate).contains(folded)
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("MemoryMx", Some("MemoryMax"))]
    #[case("memorymax", Some("MemoryMax"))]
    #[case("MemoryMaX", Some("MemoryMax"))]
    #[case("MemroyMax", Some("MemoryMax"))]
    #[case("swap_max", Some("MemorySwapMax"))]
    #[case("CPUShares", None)]
    #[case("", None)]
    fn a_misspelt_name_finds_its_neighbour(#[case] wrong: &str, #[case] expected: Option<&str>) {
        let names = ["MemoryMin", "MemoryMax", "MemorySwapMax", "TasksMax"];
        assert_eq!(nearest(wrong, names).as_deref(), expected);
    }
}
