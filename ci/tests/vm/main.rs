//! The truth about guests, told by real ones. One program, so that all of it shares one lab a guest.

mod channel;
mod clones;
mod ends;
mod installation;
mod recipe;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ci::{CloneOptions, Command, Exit, Guest, Lab, Stream, Vm};

/// Where a test is about the channel or the clones and not about what is in the image, one guest tells as much as two.
const GUEST: Guest = Guest::Trixie;

fn lab(guest: Guest) -> &'static Lab {
    static BOOKWORM: OnceLock<Lab> = OnceLock::new();
    static TRIXIE: OnceLock<Lab> = OnceLock::new();
    let cell = match guest {
        Guest::Bookworm => &BOOKWORM,
        Guest::Trixie => &TRIXIE,
    };
    cell.get_or_init(|| Lab::prepare(guest, &|event| eprintln!("{event:?}")).unwrap())
}

fn clone(guest: Guest, name: &str) -> Vm {
    lab(guest).spawn(&CloneOptions::new(name)).unwrap()
}

/// A tar of files by their paths, made in a directory.
fn tar_of(directory: &Path, files: &[(&str, &str)]) -> PathBuf {
    let tree = directory.join("tree");
    for (path, text) in files {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let tar = directory.join("files.tar");
    let mut command = std::process::Command::new("tar");
    command
        .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-cf"])
        .arg(&tar)
        .arg("-C")
        .arg(tree)
        .arg(".");
    assert!(command.status().unwrap().success());
    tar
}

/// What a script says, which has to succeed.
fn say(vm: &Vm, script: &str) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = vm
        .exec(&Command::sh(script), &mut |stream, bytes| match stream {
            Stream::Stdout => out.extend_from_slice(bytes),
            Stream::Stderr => err.extend_from_slice(bytes),
        })
        .unwrap();
    assert_eq!(exit, Exit::Code(0), "{script}: {}", String::from_utf8_lossy(&err));
    String::from_utf8_lossy(&out).trim_end().to_owned()
}
