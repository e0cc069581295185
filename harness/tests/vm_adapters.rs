//! The adapters against real guests: `examples/adapters_probe.rs` runs in a clone of each.

use std::path::{Path, PathBuf};
use std::process::Command as HostCommand;

use ci::{CloneOptions, Command, Exit, Guest, Lab};
use rstest::rstest;

#[rstest]
#[case(Guest::Bookworm)]
#[case(Guest::Trixie)]
fn every_adapter_keeps_its_promises_in(#[case] guest: Guest) {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let lab = Lab::prepare(guest, &|event| eprintln!("{event:?}")).expect("a lab");
    let mut options = CloneOptions::new("adapters");
    options.files = Some(tar_of(&probe(), scratch.path()));
    let vm = lab.spawn(&options).expect("a guest");
    let (exit, output) = vm.output(&Command::new("/adapters_probe")).expect("the probe ran");
    assert_eq!(exit, Exit::Code(0), "{output}\n{}", vm.console_tail(20));
    assert_eq!(output.lines().filter(|line| line.starts_with("ok ")).count(), 7, "{output}");
}

/// Builds the probe: `cargo test --test vm_adapters` alone builds no examples.
fn probe() -> PathBuf {
    let build = ["build", "--quiet", "--package", "harness", "--example", "adapters_probe"];
    let status = HostCommand::new(env!("CARGO")).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.expect("cargo").success(), "the probe does not build");
    let profile = Path::new(env!("CARGO_BIN_EXE_bulkhead")).with_file_name("examples");
    profile.join("adapters_probe")
}

fn tar_of(program: &Path, scratch: &Path) -> PathBuf {
    let tar = scratch.join("files.tar");
    let directory = program.parent().expect("it is a file");
    let status =
        HostCommand::new("tar").arg("-cf").arg(&tar).arg("-C").arg(directory).arg("adapters_probe").status();
    assert!(status.expect("tar").success(), "tar failed");
    tar
}
