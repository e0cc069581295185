//! A policy for a big machine → its files for a small guest: absolute sizes of memory are scaled, everything else stays as written.
//!
//! What a share, a weight, zero and `infinity` mean does not depend on the machine's size. Both numbers are told.

use std::collections::BTreeSet;
use std::fmt;

use super::sizes::{Notation, Size, sizes};
use super::{Directory, Entry, Place as Where, ROOT, Root, Tree};
use crate::notation::{Bytes, UnitName};
use crate::reading::diagnostic::{Diagnostic, Invalid, Source};
use crate::reading::rule::rules;
use crate::unit_file::{Files, Manager, Place, with_slices};

rules! {
    Error BELOW_FLOOR = "cap-below-floor",
        "Scaled down to the guest, the cap of a tree is so small that what enters it (a shell, a service manager, a \
        container's init) has no room, so that the case would fail for a reason that the real machine does not have. Take \
        a bigger guest with --guest-memory; one of the policy's own size needs no scale.";
}

/// Below this a tree's cap leaves no room for those who enter it.
pub const FLOOR: Bytes = Bytes(64 << 20);

const PAGE: u64 = 4096;

/// How much smaller a guest is than the machine of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// The memory of the machine that the policy is written for.
    policy: Bytes,
    /// The memory of the guest, in the same terms: what it is given, not what its kernel leaves of it.
    guest: Bytes,
}

impl Scale {
    /// The scale of a policy for a machine of so much memory in a guest of so much.
    #[must_use]
    pub const fn new(policy: Bytes, guest: Bytes) -> Self {
        Self { policy, guest }
    }

    /// Whether nothing is scaled: the guest has as much memory as the machine, or more.
    #[must_use]
    pub const fn is_one(self) -> bool {
        self.guest.0 >= self.policy.0
    }

    /// The size that stands for `bytes`: whole pages, rounded down, and at least one page for what is not 0.
    #[must_use]
    pub fn of(self, bytes: Bytes) -> Bytes {
        if self.is_one() || bytes.0 == 0 {
            return bytes;
        }
        let scaled = u128::from(bytes.0) * u128::from(self.guest.0) / u128::from(self.policy.0);
        let scaled = u64::try_from(scaled).unwrap_or(u64::MAX) / PAGE * PAGE;
        Bytes(scaled.max(PAGE))
    }
}

/// `1:12`, with a decimal where it is no whole number.
impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() || self.guest.0 == 0 {
            return f.write_str("1:1");
        }
        let tenths = (u128::from(self.policy.0) * 20 / u128::from(self.guest.0)).div_ceil(2);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "1:{whole}"),
            (whole, tenth) => write!(f, "1:{whole}.{tenth}"),
        }
    }
}

/// A size that was scaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modelled {
    /// The file and line.
    pub place: Place,
    /// What it is of: a directive, or an option.
    pub of: String,
    /// As the policy has it.
    pub written: String,
    /// How much that is.
    pub bytes: Bytes,
    /// What is installed.
    pub modelled: Bytes,
    /// Whether it was not scaled below [`FLOOR`]: the cap of a unit that is no tree needs as much on any machine.
    pub floored: bool,
    /// By how much it was scaled.
    pub scale: Scale,
}

/// `16G, modelled as 1.33 GiB, 1:12`.
impl fmt::Display for Modelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = if self.modelled.0 >= 1 << 30 {
            ("GiB", 30)
        } else if self.modelled.0 >= 1 << 20 {
            ("MiB", 20)
        } else {
            ("KiB", 10)
        };
        let hundredths = (u128::from(self.modelled.0) * 100) >> shift;
        write!(f, "{}, modelled as {}.{:02} {unit}, ", self.written, hundredths / 100, hundredths % 100)?;
        if self.floored { f.write_str("not scaled below its floor") } else { self.scale.fmt(f) }
    }
}

/// The files for a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaled {
    /// What is installed instead of the policy's own root.
    pub root: Root,
    /// What was changed, by file and line.
    pub sizes: Vec<Modelled>,
}

/// Scales a policy's files. A scale of one changes no byte.
///
/// # Errors
/// Each cap of a tree that would be below [`FLOOR`], with its line. One that is as small in the policy itself is left alone.
pub fn scale(directory: &Directory, scale: Scale) -> Result<Scaled, Invalid> {
    let mut scaled = Scaled { root: directory.root.clone(), sizes: Vec::new() };
    if scale.is_one() {
        return Ok(scaled);
    }
    let trees = files_of_trees(directory);
    let mut problems = Vec::new();
    let mut edits: Vec<(Size, Bytes)> = Vec::new();
    for size in sizes(&directory.root) {
        let mut modelled = scale.of(size.bytes);
        let least = if is_cap(&size) { FLOOR.min(size.bytes) } else { Bytes(0) };
        let floored = modelled < least;
        if floored {
            if trees.contains(&size.place.path) {
                problems.push(below_floor(directory, &size, modelled, scale));
                continue;
            }
            modelled = least;
        }
        let (place, of, written) = (size.place.clone(), size.of.clone(), size.text.clone());
        scaled.sizes.push(Modelled { place, of, written, bytes: size.bytes, modelled, floored, scale });
        edits.push((size, modelled));
    }
    if !problems.is_empty() {
        return Err(Invalid { diagnostics: problems });
    }
    // From the end of each file, so that the places before stay where they are.
    for (size, modelled) in edits.iter().rev() {
        if let Some(Entry::File { bytes, .. }) = scaled.root.entries.get_mut(&size.place.path) {
            let text = size.notation.text(*modelled);
            let mut changed = bytes.to_vec();
            let quoted = size.notation == Notation::Json && changed.get(size.span.start) == Some(&b'"');
            let text = if quoted { format!("\"{text}\"") } else { text };
            changed.splice(size.span.clone(), text.into_bytes());
            *bytes = changed.into();
        }
    }
    Ok(scaled)
}

fn is_cap(size: &Size) -> bool {
    size.notation == Notation::Systemd
        && (size.of.ends_with("MemoryMax") || size.of.ends_with("MemoryHigh") || size.of == "MemoryLimit")
}

fn below_floor(directory: &Directory, size: &Size, modelled: Bytes, scale: Scale) -> Diagnostic {
    let path = format!("{}{}", directory.path.join(ROOT).display(), size.place.path);
    let bytes = directory.root.file(&size.place.path).unwrap_or_default();
    let source = Source::plain(&path, &String::from_utf8_lossy(bytes));
    let message = format!(
        "{}={} of a tree would be {} KiB, {scale}: less than {FLOOR}",
        size.of,
        size.text,
        modelled.0 >> 10
    );
    let needed = u128::from(scale.policy.0) * u128::from(FLOOR.0) / u128::from(size.bytes.0.max(1));
    let needed = u64::try_from(needed.div_ceil(1 << 30)).unwrap_or(u64::MAX);
    Diagnostic::new(BELOW_FLOOR, &source, size.span.clone(), message)
        .help(format!("--guest-memory {needed}G is enough for it"))
}

/// The unit files that a tree or a slice around it reads.
fn files_of_trees(directory: &Directory) -> BTreeSet<String> {
    let files = directory.root.unit_files();
    directory.policy.trees.iter().flat_map(|tree| files_of(&files, tree)).collect()
}

fn files_of(files: &Files, tree: &Tree) -> Vec<String> {
    let units: Vec<UnitName> = match &tree.cgroup {
        Where::Unit(unit) => vec![unit.clone()],
        Where::Path(path) => path.as_str().split('/').filter_map(|part| part.parse().ok()).collect(),
    };
    let around = units.iter().flat_map(|unit| with_slices(files, Manager::System, unit));
    around.flat_map(|unit| unit.fragment.path().map(str::to_owned).into_iter().chain(unit.dropins)).collect()
}

#[cfg(test)]
mod tests;
