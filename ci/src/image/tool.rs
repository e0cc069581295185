//! Runs a program that builds part of the image: its words become events, its failure an error with its last words.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::LabError;

const LAST_WORDS: usize = 15;

/// Runs to the end; `on_line` gets every line of its standard error.
pub(crate) fn run(
    program: &'static str,
    step: &'static str,
    command: &mut Command,
    mut on_line: impl FnMut(&str),
) -> Result<(), LabError> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| not_started(program, error))?;
    let mut last = VecDeque::new();
    if let Some(words) = child.stderr.take() {
        for line in BufReader::new(words).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            on_line(&line);
            last.push_back(line);
            if last.len() > LAST_WORDS {
                last.pop_front();
            }
        }
    }
    let status = child.wait().map_err(|error| not_started(program, error))?;
    if status.success() {
        return Ok(());
    }
    let output = Vec::from(last).join("\n");
    Err(LabError::Tool { program, step, status: status.to_string(), output })
}

pub(crate) fn not_started(program: &'static str, error: io::Error) -> LabError {
    match error.kind() {
        io::ErrorKind::NotFound => LabError::Missing { program },
        _ => LabError::file("run", program.as_ref())(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut script = Command::new("sh");
        script.args(["-c", "echo one >&2; echo two >&2; exit 3"]);
        let mut lines = Vec::new();
        let error = run("sh", "disk", &mut script, |line| lines.push(line.to_owned())).unwrap_err();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(error.to_string(), "sh failed (exit status: 3) while building the disk:\none\ntwo");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_where_it_comes_from() {
        let error = run("no-such", "disk", &mut Command::new("/no-such"), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "no-such is not installed; run `ci/install`");
    }
}
