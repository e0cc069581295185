//! Where the guest's own static programs are.

use std::env;
use std::path::{Path, PathBuf};

use crate::LabError;
use crate::digest::Digest;

/// The programs that go into the image.
pub(crate) struct Programs {
    pub(crate) agent: PathBuf,
    pub(crate) init: PathBuf,
}

impl Programs {
    /// Looks in `$BULKHEAD_BIN_DIR` if it is set; else beside the running program, then in the release directory of
    /// the same build tree (a test runs from `debug/deps`, and the guest gets what users get).
    pub(crate) fn find() -> Result<Self, LabError> {
        let places = match env::var_os("BULKHEAD_BIN_DIR") {
            Some(directory) => vec![PathBuf::from(directory)],
            None => {
                let program =
                    env::current_exe().map_err(LabError::file("find", Path::new("/proc/self/exe")))?;
                places_near(&program)
            }
        };
        let find = |program: &'static str| {
            places.iter().map(|place| place.join(program)).find(|path| path.is_file()).ok_or_else(|| {
                LabError::Program { program, directory: places.last().cloned().unwrap_or_default() }
            })
        };
        Ok(Self { agent: find("agent")?, init: find("init")? })
    }

    pub(crate) fn key(&self) -> Result<String, LabError> {
        let digest = Digest::new();
        let digest = digest.file(&self.agent).map_err(LabError::file("read", &self.agent))?;
        let digest = digest.file(&self.init).map_err(LabError::file("read", &self.init))?;
        Ok(digest.to_string())
    }
}

/// `…/debug/deps/test-1` → `…/release`; `…/release/bulkhead` → `…/release`.
fn places_near(program: &Path) -> Vec<PathBuf> {
    let beside = program.parent().unwrap_or(Path::new("/"));
    let profile = if beside.ends_with("deps") || beside.ends_with("examples") {
        beside.parent().unwrap_or(beside)
    } else {
        beside
    };
    let release = profile.with_file_name("release");
    if profile.ends_with("debug") { vec![release] } else { vec![profile.to_owned(), release] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/t/debug/deps/vm-1", &["/t/release"])]
    #[case("/t/debug/bulkhead", &["/t/release"])]
    #[case("/t/release/bulkhead", &["/t/release", "/t/release"])]
    #[case("/t/release/deps/boot-1", &["/t/release", "/t/release"])]
    #[case("/t/release/examples/boot", &["/t/release", "/t/release"])]
    #[case("/usr/bin/bulkhead", &["/usr/bin", "/usr/release"])]
    fn the_guest_gets_release_programs(#[case] program: &str, #[case] places: &[&str]) {
        assert_eq!(places_near(Path::new(program)), places.iter().map(PathBuf::from).collect::<Vec<_>>());
    }
}
