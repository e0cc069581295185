//! `--report KIND[:PATH]` → a report where it is wanted: standard output or a file.
//!
//! A file appears whole or not at all: it is written beside its place and renamed. Directories are not made: a
//! mistyped path is an error, not a new tree.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tempfile::Builder;
use thiserror::Error;

use crate::report::Report;
use crate::terminal::{Color, Options};
use crate::{json, junit, markdown, terminal};

/// A format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A table and blocks for a person at a terminal.
    Terminal,
    /// GitHub-flavoured Markdown.
    Markdown,
    /// The whole model.
    Json,
    /// JUnit XML.
    Junit,
}

impl Kind {
    /// Every kind, as error messages list them.
    pub const ALL: [Self; 4] = [Self::Terminal, Self::Markdown, Self::Json, Self::Junit];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Junit => "junit",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One `--report`: a format, and a file or standard output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The format.
    pub kind: Kind,
    /// The file; standard output without one.
    pub path: Option<PathBuf>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => self.kind.fmt(f),
            Some(path) => write!(f, "{}:{}", self.kind, path.display()),
        }
    }
}

/// Why a `--report` is not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The word before the colon is no format.
    #[error("unknown report kind {found:?}: use one of {}, with :PATH to write a file", kinds())]
    Kind {
        /// The word.
        found: String,
    },
    /// A colon, and nothing behind it.
    #[error("no path behind {kind}: — write {kind}:PATH, or {kind} alone for standard output")]
    Path {
        /// The format.
        kind: Kind,
    },
}

fn kinds() -> String {
    Kind::ALL.map(Kind::word).join(", ")
}

impl FromStr for Target {
    type Err = TargetError;

    /// Parses `KIND` or `KIND:PATH`; the path `-` is standard output.
    fn from_str(given: &str) -> Result<Self, TargetError> {
        let (word, path) = given.split_once(':').map_or((given, None), |(word, path)| (word, Some(path)));
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
        let kind = kind.ok_or_else(|| TargetError::Kind { found: word.to_owned() })?;
        match path {
            Some("") => Err(TargetError::Path { kind }),
            None | Some("-") => Ok(Self { kind, path: None }),
            Some(path) => Ok(Self { kind, path: Some(path.into()) }),
        }
    }
}

/// Why a report could not be delivered.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The directory that should hold the file is not there.
    #[error("{} is no directory, so {} cannot be written: create it first", directory.display(), path.display())]
    NoDirectory {
        /// The file that was asked for.
        path: PathBuf,
        /// The directory that is missing.
        directory: PathBuf,
    },
    /// The file could not be written beside its place or renamed into it.
    #[error("cannot write report {}", path.display())]
    File {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Standard output did not take it.
    #[error("cannot write report to standard output")]
    Stdout(#[source] io::Error),
}

/// `report` in the format `kind`; `options` matter to the terminal alone.
pub fn render(report: &Report, kind: Kind, options: Options) -> String {
    match kind {
        Kind::Terminal => terminal::render(report, options),
        Kind::Markdown => markdown::render(report),
        Kind::Json => json::render(report),
        Kind::Junit => junit::render(report),
    }
}

/// Writes `report` where `target` says. A file is never coloured, whatever `options` say.
///
/// # Errors
///
/// A missing directory, a file that cannot be written or replaced, a closed standard output.
pub fn write(
    report: &Report,
    target: &Target,
    stdout: &mut dyn Write,
    options: Options,
) -> Result<(), WriteError> {
    match &target.path {
        None => {
            let text = render(report, target.kind, options);
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(WriteError::Stdout)
        }
        Some(path) => replace(path, &render(report, target.kind, Options { color: Color::Plain, ..options })),
    }
}

/// Puts `text` in the place of `path` in one step.
fn replace(path: &Path, text: &str) -> Result<(), WriteError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return Err(WriteError::NoDirectory { path: path.into(), directory: directory.into() });
    }
    let written = || {
        // Readable as any file a program makes: the umask takes away what the user wants taken away.
        let mode = Permissions::from_mode(0o666);
        let mut file = Builder::new().prefix(".bulkhead-report-").permissions(mode).tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|source| WriteError::File { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;
    use crate::samples;

    #[rstest]
    #[case("terminal", Kind::Terminal, None)]
    #[case("markdown:out.md", Kind::Markdown, Some("out.md"))]
    #[case("json:/a:b/c.json", Kind::Json, Some("/a:b/c.json"))]
    #[case("junit:-", Kind::Junit, None)]
    fn a_target_is_a_kind_and_maybe_a_path(
        #[case] given: &str,
        #[case] kind: Kind,
        #[case] path: Option<&str>,
    ) {
        let target: Target = given.parse().unwrap();
        assert_eq!(target, Target { kind, path: path.map(Into::into) });
        assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
    }

    #[test]
    fn an_unknown_kind_is_answered_with_the_kinds() {
        let error = "xml:out".parse::<Target>().unwrap_err();
        insta::assert_snapshot!(error, @r#"unknown report kind "xml": use one of terminal, markdown, json, junit, with :PATH to write a file"#);
        let error = "json:".parse::<Target>().unwrap_err();
        insta::assert_snapshot!(error, @"no path behind json: — write json:PATH, or json alone for standard output");
        assert!("JSON".parse::<Target>().is_err());
    }

    #[rstest]
    fn standard_output_gets_exactly_the_report(
        #[values(Kind::Terminal, Kind::Markdown, Kind::Json, Kind::Junit)] kind: Kind,
    ) {
        let report = samples::mixed();
        let mut stdout = Vec::new();
        write(&report, &Target { kind, path: None }, &mut stdout, Options::default()).unwrap();
        assert_eq!(String::from_utf8(stdout).unwrap(), render(&report, kind, Options::default()));
    }

    #[test]
    fn a_file_is_replaced_whole_plain_and_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.txt");
        fs::write(&path, "old").unwrap();
        let target = Target { kind: Kind::Terminal, path: Some(path.clone()) };
        let coloured = Options { width: 80, color: Color::Ansi };
        let mut stdout = Vec::new();
        write(&samples::mixed(), &target, &mut stdout, coloured).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, terminal::render(&samples::mixed(), Options::default()));
        assert!(stdout.is_empty());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_named_and_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("reports");
        let target = Target { kind: Kind::Json, path: Some(missing.join("r.json")) };
        let error = write(&samples::empty(), &target, &mut Vec::new(), Options::default()).unwrap_err();
        assert!(matches!(&error, WriteError::NoDirectory { directory, .. } if *directory == missing));
        assert!(error.to_string().ends_with("cannot be written: create it first"), "{error}");
        assert!(!missing.exists());
    }

    #[test]
    fn what_cannot_be_replaced_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        let target = Target { kind: Kind::Junit, path: Some(path.clone()) };
        let error = write(&samples::empty(), &target, &mut Vec::new(), Options::default()).unwrap_err();
        assert!(matches!(error, WriteError::File { .. }), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
