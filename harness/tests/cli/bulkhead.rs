//! The program, and where it is started.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// The program, started in the root of the source tree.
pub(crate) fn bulkhead(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
    command.current_dir(root()).env_remove("NO_COLOR").env_remove("COLUMNS").args(arguments);
    command
}

/// The root of the source tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// What a successful call prints on standard output.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let assert = bulkhead(arguments).assert().code(0);
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

/// A directory with copies of these shipped scenarios.
pub(crate) fn scenarios(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in names {
        let file = format!("{name}.toml");
        std::fs::copy(root().join("scenarios").join(&file), dir.path().join(&file)).expect("copied");
    }
    dir
}
