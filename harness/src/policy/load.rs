//! A path → a policy directory: `policy.toml`, `root/`, and what its `install` needs beside them.

use std::fs;
use std::path::{Path, PathBuf};

use super::Policy;
use super::root::{Root, walk};
use crate::reading::diagnostic::{Diagnostic, Invalid};

/// The file that makes a directory a policy.
pub const FILE: &str = "policy.toml";

/// The directory in it whose files are installed.
pub const ROOT: &str = "root";

/// A policy with its files, all of them read: nothing changes afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The directory, as it was named.
    pub path: PathBuf,
    /// What `policy.toml` says.
    pub policy: Policy,
    /// What is installed.
    pub root: Root,
    /// What lies beside `root/`, by its path in the policy directory (`/setup.sh`); read only for a policy with an `install`.
    pub beside: Root,
}

/// Why a policy could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is wrong with the file, and unsafe to install.
    #[error("{0}")]
    Invalid(Invalid),
}

impl LoadError {
    /// The places that are wrong; empty when something could not be read at all.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid(invalid) => &invalid.diagnostics,
            Self::Read { .. } => &[],
        }
    }
}

/// The policy directory that a path names, by itself or by its `policy.toml`.
#[must_use]
pub fn is_policy(path: &Path) -> Option<&Path> {
    if path.join(FILE).is_file() {
        return Some(path);
    }
    let named = path.file_name().is_some_and(|name| name == FILE) && path.is_file();
    let above = path.parent().filter(|_| named)?;
    Some(if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

/// How far below a directory policies are looked for: `policies/NAME/GENERATION`.
const DEPTH: usize = 3;

/// The policy directories below a directory, in order of their paths. Links are not followed, and no policy lies in another.
///
/// # Errors
/// A directory that cannot be read.
pub fn policies_below(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let mut found = Vec::new();
    search(directory, DEPTH, &mut found)?;
    found.sort();
    Ok(found)
}

fn search(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let failed = |source| LoadError::Read { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if !entry.file_type().map_err(failed)?.is_dir() {
            continue;
        }
        if is_policy(&path).is_some() {
            found.push(path);
        } else if depth > 1 {
            search(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

pub(super) fn load(path: &Path) -> Result<Directory, LoadError> {
    let file = path.join(FILE);
    let text = fs::read_to_string(&file).map_err(|source| LoadError::Read { path: file.clone(), source })?;
    let (policy, mut problems) = match Policy::parse(&file.to_string_lossy(), &text) {
        Ok(policy) => (Some(policy), Vec::new()),
        Err(invalid) => (None, invalid.diagnostics),
    };
    let mut take = |base: &Path, skip: &[&str], system| {
        let (root, refused) = walk(base, skip, system)?;
        problems.extend(refused);
        Ok::<_, LoadError>(root)
    };
    let base = path.join(ROOT);
    let root = if base.exists() { take(&base, &[], true)? } else { Root::default() };
    let installs = policy.as_ref().is_some_and(|policy| !policy.install.is_empty());
    let beside = if installs { take(path, &[FILE, ROOT], false)? } else { Root::default() };
    match policy.filter(|_| problems.is_empty()) {
        Some(policy) => Ok(Directory { path: path.to_owned(), policy, root, beside }),
        None => Err(LoadError::Invalid(Invalid { diagnostics: problems })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_found_below_a_directory_and_not_within_one_another() {
        let base = tempfile::tempdir().expect("a temporary directory");
        for policy in ["z", "a/2", "a/1", "z/within", "a/b/3", "a/b/c/too-deep"] {
            let directory = base.path().join(policy);
            fs::create_dir_all(&directory).expect("made");
            fs::write(directory.join(FILE), "").expect("written");
        }
        std::os::unix::fs::symlink("z", base.path().join("link")).expect("linked");
        let found = policies_below(base.path()).expect("read");
        let shown = found.iter().map(|path| path.strip_prefix(base.path()).expect("below"));
        assert_eq!(shown.collect::<Vec<_>>(), ["a/1", "a/2", "a/b/3", "z"].map(Path::new));
    }
}
