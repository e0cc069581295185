//! `bulkhead completions` and `bulkhead man`: from the same definitions as the command line itself.

use super::stdout::print;
use crate::cli::{Completions, command as definition};
use crate::exit_code::ExitCode;

pub(super) fn completions(arguments: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition(), "bulkhead", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::Passed)
}

/// The page of bulkhead, then one section for each subcommand.
pub(super) fn man() -> anyhow::Result<ExitCode> {
    let mut page = Vec::new();
    // The exit codes have a section of their own.
    let mut command = definition().after_long_help(None::<&'static str>);
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    sections(&command, "BULKHEAD", &mut page)?;
    page.extend_from_slice(exit_codes().as_bytes());
    print(&String::from_utf8(page)?)?;
    Ok(ExitCode::Passed)
}

/// A section for each subcommand, and for those of its own.
fn sections(command: &clap::Command, above: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let name = format!("{above} {}", subcommand.get_name().to_uppercase());
        let man = clap_mangen::Man::new(subcommand.clone());
        page.extend_from_slice(format!(".SH {name}\n").as_bytes());
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        sections(subcommand, &name, page)?;
    }
    Ok(())
}

fn exit_codes() -> String {
    let mut section = String::from(".SH EXIT STATUS\n");
    for code in ExitCode::ALL {
        section += &format!(".TP\n{}\n{}\n", code.code(), code.meaning());
    }
    section
}
