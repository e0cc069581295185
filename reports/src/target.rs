//! `--report KIND[:PATH]` → a format and the place where the report is wanted: standard output or a file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::report::Report;
use crate::terminal::Options;
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
    #[error("unknown report kind {found:?}: use one of {}, with :PATH to write to a file", kinds())]
    Kind {
        /// The word.
        found: String,
    },
    /// A colon, and nothing behind it.
    #[error("no path after `{kind}:`: write {kind}:PATH, or {kind} alone for standard output")]
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

/// `report` in the format `kind`; `options` matter to the terminal alone.
pub fn render(report: &Report, kind: Kind, options: Options) -> String {
    match kind {
        Kind::Terminal => terminal::render(report, options),
        Kind::Markdown => markdown::render(report),
        Kind::Json => json::render(report),
        Kind::Junit => junit::render(report),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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
        insta::assert_snapshot!(error, @r#"unknown report kind "xml": use one of terminal, markdown, json, junit, with :PATH to write to a file"#);
        let error = "json:".parse::<Target>().unwrap_err();
        insta::assert_snapshot!(error, @"no path after `json:`: write json:PATH, or json alone for standard output");
        assert!("JSON".parse::<Target>().is_err());
    }
}
