//! Everything that is there to be read: help, manual page, completions, explanations.

use std::fs::File;
use std::process::Stdio;

use harness::exit_code::ExitCode;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use rstest::rstest;

use crate::bulkhead::{bulkhead, printed, root};

fn subcommands() -> Vec<clap::Command> {
    let mut command = harness::cli::command();
    command.build();
    command.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect()
}

#[test]
fn every_command_and_every_option_is_explained_in_full_sentences() {
    let own = ["help", "version"];
    for command in subcommands() {
        let name = command.get_name().to_owned();
        let about = command.get_about().expect("an explanation").to_string();
        assert!(about.ends_with('.'), "bulkhead {name}: {about}");
        for argument in command.get_arguments().filter(|argument| !own.contains(&argument.get_id().as_str()))
        {
            let id = argument.get_id().clone();
            let help = argument.get_help().unwrap_or_else(|| panic!("{name} {id} is not explained"));
            assert!(help.to_string().ends_with('.'), "bulkhead {name}, {id}: {help}");
        }
        let help = printed(&[&name, "--help"]);
        assert!(help.contains(&format!("Usage: bulkhead {name}")) && help.starts_with(&about), "{help}");
    }
}

#[test]
fn the_manual_page_has_every_subcommand_and_every_exit_code() {
    let page = printed(&["man"]);
    assert!(page.contains(".TH bulkhead 1"));
    for command in subcommands() {
        let section = format!(".SH BULKHEAD {}\n", command.get_name().to_uppercase());
        assert!(page.contains(&section), "{section}");
    }
    let status = page.split(".SH EXIT STATUS\n").nth(1).expect("a section of its own");
    for code in ExitCode::ALL {
        let entry = format!(".TP\n{}\n{}\n", code.code(), code.meaning());
        assert_eq!(page.matches(code.meaning()).count(), 1, "{entry}");
        assert!(status.contains(&entry), "{entry}");
    }
}

#[test]
fn the_help_and_the_readme_have_every_exit_code_in_the_same_words() {
    let help = printed(&["--help"]);
    let help: Vec<&str> = help.split_whitespace().collect();
    let readme = include_str!("../../../README.md");
    for code in ExitCode::ALL {
        let row = format!("| {} | {} |\n", code.code(), code.meaning());
        assert!(readme.contains(&row), "{row}");
        assert!(help.join(" ").contains(&format!("{} {}", code.code(), code.meaning())), "{row}");
    }
}

#[rstest]
#[case("bash", "complete -F _bulkhead")]
#[case("zsh", "#compdef bulkhead")]
#[case("fish", "complete -c bulkhead")]
fn completions_know_every_subcommand(#[case] shell: &str, #[case] mark: &str) {
    let script = printed(&["completions", shell]);
    assert!(script.contains(mark), "{script}");
    for command in subcommands() {
        assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
    }
    bulkhead(&["completions", "dos"]).assert().code(2);
}

#[test]
fn versions_are_the_packages() {
    assert_eq!(printed(&["--version"]), format!("bulkhead {}\n", env!("CARGO_PKG_VERSION")));
}

#[rstest]
#[case::a_metric("memory.peak", "memory.peak  (highest so far of a cgroup, bytes")]
#[case::a_metric_with_its_subject("work:memory.peak", "memory.peak  (")]
#[case::a_numbered_metric("protect:answer.1", "answer.N  (")]
#[case::an_expectation("kill", "kill  (expectation)")]
#[case::a_property("MemoryHigh", "MemoryHigh  (property")]
#[case::a_verdict("inconclusive", "inconclusive  (verdict)")]
#[case::a_rule("tight-deadline", "tight-deadline  (warning of `bulkhead check`)")]
#[case::a_rule_of_policies("set-id-file", "set-id-file  (error of `bulkhead check`)")]
fn a_word_is_explained_in_a_paragraph(#[case] word: &str, #[case] start: &str) {
    let text = printed(&["explain", word]);
    assert!(text.starts_with(start), "{text}");
    assert!(text.trim_end().len() > start.len() + 20, "{text}");
}

#[rstest]
#[case("memory.paek", "did you mean `memory.peak`?")]
#[case("inconclusiv", "did you mean `inconclusive`?")]
#[case("zzzzzzzz", "is not a metric, expectation, property, verdict or rule")]
fn a_misspelt_word_is_answered_with_its_neighbour(#[case] word: &str, #[case] words: &str) {
    bulkhead(&["explain", word])
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains(words).and(contains("bulkhead explain")));
}

#[test]
fn without_a_word_everything_there_is_is_listed() {
    let all = printed(&["explain"]);
    for info in harness::metric::catalogue() {
        assert!(all.contains(info.name), "{}", info.name);
    }
    for rule in harness::scenario::rules().chain(harness::policy::rules()) {
        assert!(all.contains(rule.id), "{}", rule.id);
    }
    for family in harness::scenario::expectation::families() {
        assert!(all.contains(family.name), "{}", family.name);
    }
}

/// Whoever reads only the first line wants no complaint about the rest.
#[rstest]
#[case::explain(&["explain"])]
#[case::a_page(&["explain", "kill"])]
#[case::schema(&["schema"])]
#[case::list(&["list"])]
#[case::list_as_json(&["list", "--json"])]
#[case::plan(&["plan", "scenarios/hard-cap-kill.toml", "--memory", "2G"])]
#[case::completions(&["completions", "bash"])]
#[case::man(&["man"])]
fn without_a_reader_it_ends_quietly_and_on_a_full_disk_with_one_line(#[case] arguments: &[&str]) {
    let ended = |stdout: Stdio| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        let output = command.args(arguments).current_dir(root()).stdin(Stdio::null()).stdout(stdout).output();
        let output = output.expect("started");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let code = Some(i32::from(ExitCode::Error.code()));
    assert_eq!(ended(writer.into()), (code, String::new()));
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let words = "error: cannot write to standard output: No space left on device (os error 28)\n";
    assert_eq!(ended(full.into()), (code, words.to_owned()));
}
