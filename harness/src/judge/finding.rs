//! What the judges build findings of: the ids of the built-in ones, one without numbers, sizes for people.

use reports::finding::Finding;
use reports::outcome::Verdict;
use reports::units;

/// The id of the built-in finding that the stress arrived.
pub const REACHED: &str = "reached";
/// The id of the built-in finding that the protected units are the same as before.
pub const PROTECTED_UNCHANGED: &str = "protected-unchanged";
/// The id of the built-in finding that everything protected kept answering.
pub const PROTECTED_ANSWERS: &str = "protected-answers";

/// Builds a finding without numbers; whether it is required to be red is filled in by [`judge`](super::judge).
pub(super) fn found(
    id: &str,
    claim: String,
    verdict: Verdict,
    expected: String,
    observed: String,
) -> Finding {
    Finding { id: id.into(), claim, verdict, expected, observed, numbers: Vec::new(), required_red: false }
}

/// Bytes for people; what shrank is below zero.
pub(super) fn size(bytes: f64) -> String {
    let sign = if bytes < 0.0 { "-" } else { "" };
    format!("{sign}{}", units::bytes(bytes.abs() as u64))
}
