//! The subcommands: each takes its arguments and returns an exit code.

mod check;
mod explain;
mod inner;
mod inspect;
mod judge;
mod lab;
mod list;
mod man;
mod plan;
mod policy;
mod recover;
mod run;
mod schema;
mod shell;
mod stdout;

use std::io::IsTerminal;

use reports::terminal::{Color, Options};

use crate::cli::{Cli, Command, Policy};

pub use stdout::has_no_reader;

/// Does what the command line asks for.
///
/// # Errors
/// What went wrong unexpectedly, with every cause.
pub fn dispatch(cli: Cli) -> anyhow::Result<std::process::ExitCode> {
    let code = match cli.command {
        // The command in the guest has a code of its own.
        Command::Shell(arguments) => return shell::shell(&arguments).map(Into::into),
        Command::Run(arguments) => run::run(&arguments),
        Command::Inner => inner::inner(),
        Command::Inspect => inspect::inspect(),
        Command::Judge(arguments) => judge::judge(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::List(arguments) => list::list(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Policy(Policy::Show(arguments)) => policy::show::show(&arguments),
        Command::Schema(arguments) => schema::schema(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Recover => recover::recover(),
        Command::Completions(arguments) => man::completions(&arguments),
        Command::Man => man::man(),
    };
    code.map(Into::into)
}

/// How the terminal report looks on standard output.
fn look() -> Options {
    let tty = std::io::stdout().is_terminal();
    let color = if tty && color_wanted() { Color::Ansi } else { Color::Plain };
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Options { width: width.unwrap_or(if tty { terminal_width() } else { 100 }), color }
}

/// `NO_COLOR`, when set to anything but nothing, means no.
fn color_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of the terminal on standard output.
fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}
