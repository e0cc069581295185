//! A text file of the kernel's below a root directory, read once and whole.

use std::fs;
use std::path::Path;

/// Its text; none when it is not there or cannot be read.
pub(super) fn read(root: &Path, path: &str) -> Option<String> {
    fs::read(root.join(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The one word or line that it holds; none also when it is empty.
pub(super) fn word(root: &Path, path: &str) -> Option<String> {
    read(root, path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
