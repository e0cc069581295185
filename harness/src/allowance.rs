//! What the owner of a machine allows: `/etc/bulkhead/host.toml` → [`Allowance`].
//!
//! The file is root's alone and read as strictly as a scenario. Whether a plan keeps to it is for `guard` to say.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::notation::{Bytes, Percent, Span};
use crate::reading::diagnostic::Invalid;
use crate::reading::{FromTable, Table, read_file};

/// The file with which the owner of a machine allows runs on it.
pub const PATH: &str = "/etc/bulkhead/host.toml";

/// The version of the file format that this program reads.
const SCHEMA: u32 = 1;

/// What the owner of a machine allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Whether the machine may be lost: only then do pressure and destructive scenarios run.
    pub disposable: bool,
    /// The most a run may take in all, bytes.
    pub max_memory: Option<u64>,
    /// The share of memory that a run may push the machine to, percent.
    pub max_used_percent: Option<u64>,
    /// The most that a run may write to the disk, bytes.
    pub max_disk: Option<u64>,
    /// The longest deadline, µs.
    pub max_deadline_us: Option<u64>,
    /// Bytes a second to which the swap device is throttled from outside: nothing on the machine itself can tell.
    pub swap_rate: Option<u64>,
}

/// Why it is not known what the owner of a machine allows. Every case means: nothing runs here.
#[derive(Debug, thiserror::Error)]
pub enum AllowanceError {
    /// There is no such file.
    #[error(
        "{path} does not exist, so nothing may run on this machine: as root, write\n  schema = 1\nto it to allow \
         contained scenarios, or run in a throwaway VM with --on vm",
        path = .0.display()
    )]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than root could have written it.
    #[error(
        "{path} must be owned by root and writable by nobody else (uid {uid}, mode {mode:o}): chown root, chmod 644",
        path = path.display()
    )]
    NotRoots {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its mode.
        mode: u32,
    },
    /// What it says is wrong.
    #[error("nothing may run on this machine: the file that says what its owner allows is invalid\n\n{0}")]
    Invalid(Invalid),
}

impl Allowance {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it is missing, not root's alone, or says something unknown.
    pub fn load(path: &Path) -> Result<Self, AllowanceError> {
        let read = |source| AllowanceError::Read { path: path.to_owned(), source };
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(AllowanceError::Missing(path.to_owned()));
            }
            found => found.map_err(read)?,
        };
        let mode = metadata.mode() & 0o7777;
        if metadata.uid() != 0 || mode & 0o022 != 0 {
            return Err(AllowanceError::NotRoots { path: path.to_owned(), uid: metadata.uid(), mode });
        }
        let text = fs::read_to_string(path).map_err(read)?;
        Self::parse(&path.to_string_lossy(), &text).map_err(AllowanceError::Invalid)
    }

    fn parse(path: &str, text: &str) -> Result<Self, Invalid> {
        let (allowance, reader) = read_file(path, text);
        reader.finish(allowance)
    }
}

impl FromTable for Allowance {
    const LABEL: &'static str = "the file";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let schema = table.schema_version(SCHEMA);
        let disposable = table.optional("disposable", "whether the machine may be lost");
        let max_memory: Option<Bytes> =
            table.optional("max-memory", "the most memory that a run may use in total");
        let max_used: Option<Percent> =
            table.optional("max-used", "the share of the machine's memory that may be in use during a run");
        let max_disk: Option<Bytes> = table.optional("max-disk", "the most that a run may write to disk");
        let max_deadline: Option<Span> = table.optional("max-deadline", "the longest deadline of a run");
        let swap_rate: Option<Bytes> =
            table.optional("swap-rate", "bytes a second to which the swap device is throttled from outside");
        schema.map(|_| Self {
            disposable: disposable.unwrap_or_default(),
            max_memory: max_memory.map(|bytes| bytes.0),
            max_used_percent: max_used.map(|percent| percent.of(100)),
            max_disk: max_disk.map(|bytes| bytes.0),
            max_deadline_us: max_deadline.map(|span| span.0),
            swap_rate: swap_rate.map(|bytes| bytes.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rstest::rstest;

    use super::*;

    #[test]
    fn an_owner_says_what_is_allowed() {
        let text = "schema = 1\ndisposable = true\nmax-memory = \"2G\"\nmax-used = \"80%\"\nmax-deadline = \"5min\"\n\
                    max-disk = \"1G\"\nswap-rate = \"8M\"\n";
        let expected = Allowance {
            disposable: true,
            max_memory: Some(2 << 30),
            max_used_percent: Some(80),
            max_disk: Some(1 << 30),
            max_deadline_us: Some(300_000_000),
            swap_rate: Some(8 << 20),
        };
        assert_eq!(Allowance::parse(PATH, text), Ok(expected));
        assert_eq!(Allowance::parse(PATH, "schema = 1"), Ok(Allowance::default()));
    }

    #[rstest]
    #[case::no_schema("disposable = true", "missing-key", "", &["`schema`"])]
    #[case::another_schema("schema = 2", "unknown-schema", "2", &["schema 2 is not known", "reads schema = 1"])]
    #[case::a_misspelt_key(
        "schema = 1\nmax-memroy = \"2G\"",
        "unknown-key",
        "max-memroy",
        &["--> /etc/bulkhead/host.toml:2:1", "did you mean `max-memory`?"]
    )]
    #[case::a_bad_size("schema = 1\nmax-memory = \"2GB\"", "malformed-value", "\"2GB\"", &["did you mean `2G`?"])]
    #[case::a_word_for_a_bool("schema = 1\ndisposable = \"yes\"", "wrong-type", "\"yes\"", &["true or false"])]
    #[case::a_key_twice("schema = 1\nschema = 1", "syntax", "schema", &["duplicate key"])]
    fn a_file_that_is_not_understood_allows_nothing(
        #[case] text: &str,
        #[case] rule: &str,
        #[case] marked: &str,
        #[case] words: &[&str],
    ) {
        let problems = Allowance::parse(PATH, text).expect_err("refused").diagnostics;
        assert_eq!((problems.len(), problems[0].rule.id), (1, rule));
        assert_eq!(&text[problems[0].span.clone()], marked);
        let shown = problems[0].to_string();
        assert!(words.iter().all(|words| shown.contains(words)), "{shown}");
    }

    #[test]
    fn a_file_that_is_missing_or_not_roots_alone_allows_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("host.toml");
        assert!(matches!(Allowance::load(&path), Err(AllowanceError::Missing(_))));
        fs::write(&path, "schema = 1\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("chmod");
        assert!(matches!(Allowance::load(&path), Err(AllowanceError::NotRoots { mode: 0o666, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        // Readable by all is fine; owned by somebody else is not.
        let roots = nix::unistd::geteuid().is_root();
        assert_eq!(Allowance::load(&path).is_ok(), roots);
    }
}
