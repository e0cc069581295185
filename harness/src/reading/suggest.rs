//! A misspelt name and the names that would be right → the nearest one, or none when nothing is near.
//!
//! Distance is counted in edits (insert, drop, replace, swap two neighbours); case, `-`, `_`, `.` and spaces do
//! not count. It never guesses across more than a third of the name.

/// The candidate nearest to `wrong`, if one is near enough to be meant.
pub fn nearest<'c>(wrong: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let folded = fold(wrong);
    let allowed = (folded.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(edits, candidate)| *edits <= allowed || contains(&folded, candidate))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate.to_owned())
}

/// A long fragment of a name (`oom_kill` for `memory.events.oom_kill`) is meant as that name.
fn contains(folded: &[char], candidate: &str) -> bool {
    folded.len() >= 4 && fold(candidate).windows(folded.len()).any(|window| window == folded)
}

fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Optimal string alignment distance.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replace = rows[i][j] + usize::from(a != b);
            let mut best = replace.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
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
