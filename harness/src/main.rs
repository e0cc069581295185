//! The `bulkhead` command: parses the command line, does what it says, and turns the result into an exit code.

use std::process::ExitCode as ProcessExit;

use harness::cli::Cli;
use harness::commands;
use harness::exit_code::ExitCode;

fn main() -> ProcessExit {
    match commands::dispatch(Cli::from_this_process()) {
        Ok(code) => code,
        Err(error) => {
            if !commands::has_no_reader(&error) {
                eprintln!("error: {error:#}");
            }
            ExitCode::Error.into()
        }
    }
}
