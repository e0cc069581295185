//! The places of the reports of one invocation: looked at before anything runs, written to when all is known.
//!
//! A regular file appears whole or not at all, with the owner and mode it had. Nothing else that stands at a path is ever
//! replaced: links stay links, and devices, FIFOs and sockets are written into. Directories are not made: a mistyped path
//! is an error, not a new tree.

mod place;
mod replace;

use std::io::{self, Write};
use std::path::PathBuf;

use thiserror::Error;

use crate::report::Report;
use crate::target::{Kind, Target, render};
use crate::terminal::{Color, Options};
use place::Place;

/// Why there is no place for a report.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory that should hold the file is not there.
    #[error(
        "{} is not a directory, so report {} cannot be written: create it first",
        directory.display(), path.display()
    )]
    NoDirectory {
        /// The file that was asked for.
        path: PathBuf,
        /// The directory that is missing.
        directory: PathBuf,
    },
    /// Two reports would overwrite each other.
    #[error("two reports cannot both be written to {}: give each its own path", path.display())]
    Twice {
        /// The path, as it was given the second time.
        path: PathBuf,
    },
    /// Something is there that no report may be written to.
    #[error("report {} cannot be written: it is {what}", path.display())]
    Unfit {
        /// The path.
        path: PathBuf,
        /// What is there, and what to do.
        what: &'static str,
    },
    /// The system refuses.
    #[error("report {} cannot be written", path.display())]
    Refused {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a report could not be delivered.
#[derive(Debug, Error)]
pub enum WriteError {
    /// There is no place for it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its place did not take it.
    #[error("cannot write report {}", path.display())]
    File {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Standard output did not take it.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

/// One report's place.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    place: Place,
}

/// Finds the place of every report, and that it can be written.
///
/// # Errors
/// A place that cannot be written: better known now than after an hour.
pub fn open(targets: &[Target]) -> Result<Vec<Sink>, OpenError> {
    let mut sinks: Vec<Sink> = Vec::new();
    for target in targets {
        let place = match &target.path {
            None => Place::Stdout,
            Some(path) => Place::at(path)?,
        };
        if let Some(path) = &target.path
            && !matches!(place, Place::Stdout)
            && sinks.iter().any(|sink| sink.place.is_same(&place))
        {
            return Err(OpenError::Twice { path: path.clone() });
        }
        sinks.push(Sink { target: target.clone(), place });
    }
    Ok(sinks)
}

/// Writes `report` where `target` says, now.
///
/// # Errors
/// As [`open`] and [`Sink::write`].
pub fn write(
    report: &Report,
    target: &Target,
    stdout: &mut dyn Write,
    options: Options,
) -> Result<(), WriteError> {
    for mut sink in open(std::slice::from_ref(target))? {
        sink.write(report, stdout, options)?;
    }
    Ok(())
}

impl Sink {
    /// The page for a person, on standard output.
    #[must_use]
    pub fn terminal() -> Self {
        Self { target: Target { kind: Kind::Terminal, path: None }, place: Place::Stdout }
    }

    /// Whether it is standard output, by whatever name.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// Writes `report`. A file is never coloured, whatever `options` say.
    ///
    /// # Errors
    /// A place that does not take all of it; a regular file then is as it was.
    pub fn write(
        &mut self,
        report: &Report,
        stdout: &mut dyn Write,
        options: Options,
    ) -> Result<(), WriteError> {
        if self.target.path.is_none() {
            let text = render(report, self.target.kind, options);
            return stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
                .map_err(WriteError::Stdout);
        }
        let text = render(report, self.target.kind, Options { color: Color::Plain, ..options });
        let written = self.place.write(text.as_bytes(), stdout);
        written
            .map_err(|source| WriteError::File { path: self.target.path.clone().unwrap_or_default(), source })
    }
}

#[cfg(test)]
mod tests;
