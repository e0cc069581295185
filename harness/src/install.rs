//! A policy's files and what `policy.toml` asks for → what a guest is given before it boots: one tar, and commands.
//!
//! Nothing is opened and nothing is run here: the same policy gives the same bytes, by which the installed guest is cached.

mod archive;
mod steps;

use std::io;
use std::path::Path;
use std::time::Duration;

use ci::Command;

use crate::policy::{Directory, Root};

/// Where in the guest lies what is beside `policy.toml`.
pub const BESIDE: &str = "/opt/bulkhead-policy";

/// How long each command of an installation may take, the policy's own as well.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What is put into a guest.
#[derive(Debug, Clone)]
pub struct Package {
    /// The policy's name for people, the process list and the cache: letters, digits, `-` and `_`.
    pub name: String,
    /// To be unpacked at `/`.
    pub tar: Vec<u8>,
    /// To be run there, as root and in this order, before the boot.
    pub commands: Vec<Command>,
}

/// The package of a policy whose files are `root`, scaled for the guest.
///
/// # Errors
/// When a path or the target of a link cannot be written into a tar.
pub fn package(directory: &Directory, root: &Root) -> io::Result<Package> {
    Ok(Package {
        name: name(&directory.path),
        tar: archive::tar(directory, root)?,
        commands: steps::steps(&directory.policy),
    })
}

/// The last part of the path, without what is neither letter, digit, `-` nor `_`.
fn name(path: &Path) -> String {
    let last = path.components().next_back().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    last.unwrap_or_default().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("policies/devvm/2026-07-02", "2026-07-02")]
    #[case("policies/a b.c/", "a_b_c")]
    #[case(".", "_")]
    #[case("/", "_")]
    fn a_package_is_called_after_its_directory(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(name(Path::new(path)), expected);
    }
}
