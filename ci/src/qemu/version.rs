//! `qemu-system-x86_64 --version` → a version.

use std::fmt;
use std::process::Command;
use std::str::FromStr;

use crate::LabError;

/// The program that runs guests.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";

/// Which QEMU this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// The whole first line, with the packager's revision: a saved state is used by exactly the build that wrote it.
    pub(crate) full: String,
}

impl Version {
    pub(crate) fn installed() -> Result<Self, LabError> {
        let output = Command::new(PROGRAM).arg("--version").output();
        let output = output.map_err(|_| LabError::Missing { program: PROGRAM })?;
        String::from_utf8_lossy(&output.stdout).parse()
    }

    /// Whether `migrate` knows the `file:` address (8.2), which newer ones want for files.
    pub(crate) fn migrates_to_files(&self) -> bool {
        (self.major, self.minor) >= (8, 2)
    }
}

impl FromStr for Version {
    type Err = LabError;

    fn from_str(output: &str) -> Result<Self, LabError> {
        let full = output.lines().next().unwrap_or_default().trim();
        let unclear = || LabError::QemuVersion(full.to_owned());
        let (_, number) = full.split_once("version ").ok_or_else(unclear)?;
        let mut parts = number.split(['.', ' ']).map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return Err(unclear()) };
        Ok(Self { major, minor, full: full.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright", 10, 0)]
    #[case("QEMU emulator version 7.2.22", 7, 2)]
    #[case("QEMU emulator version 8.2 ", 8, 2)]
    fn the_first_line_tells(#[case] output: &str, #[case] major: u32, #[case] minor: u32) {
        let version: Version = output.parse().unwrap();
        assert_eq!((version.major, version.minor), (major, minor));
    }

    #[rstest]
    #[case("")]
    #[case("QEMU emulator version unknown")]
    fn a_line_without_a_number_is_refused(#[case] output: &str) {
        assert!(output.parse::<Version>().is_err());
    }
}
