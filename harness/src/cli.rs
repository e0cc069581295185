//! The command line. Words only: what each command does stands in `commands`.

use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::exit_code::ExitCode;
use crate::notation::Bytes;

/// Prove that memory containment on a Linux machine really contains.
///
/// Bulkhead inflates a balloon next to innocent bystanders inside real systemd scopes and slices, watches the kernel,
/// and passes only on evidence: which limit killed which process, that swap stayed flat, and that everything protected
/// is still alive and still answers.
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line of this process; leaves it with a message when there is nothing to do or it is wrong.
    #[must_use]
    pub fn from_this_process() -> Self {
        let mut command = command();
        let matches = command.get_matches_mut();
        // The matches come from the very definition that is read here.
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// The definition of the command line, with every help text a whole sentence: the derive takes the full stop off a
/// comment of one paragraph.
#[must_use]
pub fn command() -> clap::Command {
    with_sentences(Cli::command()).after_long_help(exit_codes())
}

fn exit_codes() -> String {
    let line = |code: &ExitCode| format!("\n  {:<3}  {}", code.code(), code.meaning());
    format!("Exit codes:{}", ExitCode::ALL.iter().map(line).collect::<String>())
}

fn with_sentences(command: clap::Command) -> clap::Command {
    let about = command.get_about().map(sentence);
    let command = match about {
        Some(about) => command.about(about),
        None => command,
    };
    command
        .mut_args(|argument| match argument.get_help().map(sentence) {
            Some(help) => argument.help(help),
            None => argument,
        })
        .mut_subcommands(with_sentences)
}

fn sentence(text: &StyledStr) -> StyledStr {
    let text = text.to_string();
    if text.ends_with('.') { text.into() } else { format!("{text}.").into() }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios and their twins, and report.
    Run(Run),
    /// Judge a run again from its record alone.
    Judge(Judge),
    /// Check scenario files and policies without running anything. Needs neither root nor systemd.
    Check(Check),
    /// List the scenarios, their twins and what they claim.
    List(List),
    /// Print everything a run would do, with the equivalent systemd-run command lines.
    Plan(Plan),
    /// Print the JSON Schema of a file format.
    Schema(Schema),
    /// Explain a metric, expectation, property, verdict or rule in a paragraph.
    Explain(Explain),
    /// Open a root shell in a throwaway clone of a guest, or run one command there.
    Shell(Shell),
    /// Look at a policy as it comes out on a machine.
    #[command(subcommand)]
    Policy(Policy),
    /// Clean up after a run that was killed, and prove that nothing is left.
    Recover,
    /// Print a completion script for a shell.
    Completions(Completions),
    /// Print the manual page.
    Man,
    /// Run the one case given on standard input, and send its record as it grows: what `run` starts in a guest.
    #[command(hide = true)]
    Inner,
    /// Enter and read the trees given on standard input: what `policy show` starts in a guest.
    #[command(hide = true)]
    Inspect,
}

/// The subcommands of `policy`.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Install a policy in a guest, boot it, enter each tree as its users would, and show what became of each control: as
    /// declared, as loaded by systemd, as it is effective, and as the kernel holds it. What is wrong is listed with its cause, and
    /// makes the exit code 10.
    Show(PolicyShow),
}

/// Arguments of `policy show`.
#[derive(Debug, Args)]
pub struct PolicyShow {
    /// The policy directory, with a policy.toml.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Which guest.
    #[arg(long, value_enum, default_value_t = OneGuest::Trixie)]
    pub guest: OneGuest,
    /// Memory of the guest, in systemd's notation (4G). Default: 2G. Where that is less than the machine of the policy has,
    /// absolute sizes are scaled.
    #[arg(long, value_name = "SIZE", value_parser = guest_memory)]
    pub guest_memory: Option<Bytes>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Where the scenario files are.
#[derive(Debug, Args)]
pub struct Scenarios {
    /// Directory of the scenario files.
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    pub scenarios: PathBuf,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Scenarios to run: ids or file paths. Default: every scenario tagged `core`.
    #[arg(value_name = "SCENARIO")]
    pub select: Vec<String>,
    /// Where the scenario files are.
    #[command(flatten)]
    pub scenarios: Scenarios,
    /// Run every scenario with this tag.
    #[arg(long, value_name = "TAG", conflicts_with = "select")]
    pub tag: Option<String>,
    /// Where to run: in throwaway VMs or on this machine.
    #[arg(long, value_enum, default_value_t = Target::Vm)]
    pub on: Target,
    /// Guest to run in the throwaway VM.
    #[arg(long, value_enum, default_value_t = GuestChoice::Trixie)]
    pub guest: GuestChoice,
    /// Twins to run with each scenario: all, none, only (the twins without their base), or one id.
    #[arg(long, value_name = "all|none|only|ID", default_value = "all")]
    pub twins: Twins,
    /// Run everything this many times. A scenario whose verdict changes between runs is flaky, and fails.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Number of VMs to run in parallel. Default: as many as this machine has cores for, and never more than fit into
    /// its free memory.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// Write a report: terminal, json, junit or markdown, to standard output or to a file. May be repeated.
    #[arg(long = "report", value_name = "KIND[:PATH]")]
    pub reports: Vec<reports::target::Target>,
    /// Directory for the records and reports of each run.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub store: PathBuf,
}

/// Where scenarios run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A pristine throwaway VM for every scenario and every twin.
    Vm,
    /// This machine, as far as /etc/bulkhead/host.toml allows.
    Host,
}

/// The guests of the throwaway VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GuestChoice {
    /// Debian 12: systemd 252, kernel 6.1.
    Bookworm,
    /// Debian 13: systemd 257, kernel 6.12.
    Trixie,
    /// Both.
    All,
}

/// Which twins run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Twins {
    /// The base and every twin.
    All,
    /// The base alone.
    None,
    /// Every twin without its base.
    Only,
    /// This twin alone.
    One(String),
}

impl std::str::FromStr for Twins {
    type Err = std::convert::Infallible;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "all" => Self::All,
            "none" => Self::None,
            "only" => Self::Only,
            id => Self::One(id.to_owned()),
        })
    }
}

/// Arguments of `judge`.
#[derive(Debug, Args)]
pub struct Judge {
    /// Run directories, each with a record.json, or directories of such runs.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write a report: terminal, json, junit or markdown, to standard output or to a file. May be repeated.
    #[arg(long = "report", value_name = "KIND[:PATH]")]
    pub reports: Vec<reports::target::Target>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Scenario files, policy directories (those with a policy.toml), and directories of both.
    #[arg(value_name = "FILE|DIR", required = true)]
    pub files: Vec<PathBuf>,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Where the scenario files are.
    #[command(flatten)]
    pub scenarios: Scenarios,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The scenario file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Plan this twin instead of the scenario as written.
    #[arg(long, value_name = "ID")]
    pub twin: Option<String>,
    /// Plan for a machine with this much memory, in systemd's notation (2G), instead of this one.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// The format.
    #[arg(value_enum, default_value_t = Format::Scenario)]
    pub format: Format,
}

/// File formats with a published schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A scenario file.
    Scenario,
    /// The policy.toml of a policy directory.
    Policy,
    /// The JSON report.
    Report,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A metric (memory.peak), expectation (kill), property, verdict or rule. Default: list them all.
    #[arg(value_name = "METRIC|EXPECTATION")]
    pub word: Option<String>,
}

/// Arguments of `shell`.
#[derive(Debug, Args)]
pub struct Shell {
    /// Which guest.
    #[arg(long, value_enum, default_value_t = OneGuest::Trixie)]
    pub guest: OneGuest,
    /// Install this policy directory in the guest and boot it with that, first. Where the guest is smaller than the machine
    /// of the policy, absolute sizes are scaled.
    #[arg(long, value_name = "DIR")]
    pub policy: Option<PathBuf>,
    /// Memory of the guest, in systemd's notation (4G). Default: 2G.
    #[arg(long, value_name = "SIZE", value_parser = guest_memory, requires = "policy")]
    pub guest_memory: Option<Bytes>,
    /// The command to run instead of a shell; the exit code is its own. Without a terminal, standard input is a script for bash.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// One of the guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OneGuest {
    /// Debian 12: systemd 252, kernel 6.1.
    Bookworm,
    /// Debian 13: systemd 257, kernel 6.12.
    Trixie,
}

impl From<OneGuest> for ci::Guest {
    fn from(guest: OneGuest) -> Self {
        match guest {
            OneGuest::Bookworm => Self::Bookworm,
            OneGuest::Trixie => Self::Trixie,
        }
    }
}

/// A guest's memory: whole MiB, and enough to boot.
fn guest_memory(text: &str) -> Result<Bytes, String> {
    const LEAST: Bytes = Bytes(512 << 20);
    let bytes: Bytes = text.parse().map_err(|refused: crate::notation::Malformed| refused.message)?;
    if bytes < LEAST {
        return Err(format!("a guest does not boot with less than {LEAST}"));
    }
    if !bytes.0.is_multiple_of(1 << 20) {
        return Err("a guest's memory is whole MiB, such as 3G or 2560M".to_owned());
    }
    Ok(bytes)
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
