//! What goes into the guest: this program, the programs of the product, and a stress-ng with its libraries, as one tar.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Where everything lies in the guest.
pub(crate) const INSIDE: &str = "/opt/bench";

/// The tar, in a temporary directory.
#[derive(Debug)]
pub(crate) struct Kit(tempfile::TempDir);

impl Kit {
    /// Builds what cargo has not built for this benchmark, and packs it.
    pub(crate) fn pack() -> Result<Self> {
        let kit = Self(tempfile::tempdir()?);
        let root = kit.0.path().join("root");
        let inside = root.join(INSIDE.trim_start_matches('/'));
        fs::create_dir_all(&inside)?;
        cargo(&["build", "--release", "--package", "balloon", "--bins"])?;
        let bulkhead = Path::new(env!("CARGO_BIN_EXE_bulkhead"));
        for program in ["bulkhead", "balloon", "bystander"] {
            fs::copy(bulkhead.with_file_name(program), inside.join(program))?;
        }
        fs::copy(std::env::current_exe()?, inside.join("guest"))?;
        fs::copy(fill()?, inside.join("fill"))?;
        let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/hard-cap-kill.toml");
        fs::copy(scenario, inside.join("hard-cap-kill.toml"))?;
        add_stress_ng(&root)?;
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&root).args(["--owner=0", "--group=0", "-cf"]).arg(kit.tar()).arg(".");
        output(&mut tar)?;
        Ok(kit)
    }

    pub(crate) fn tar(&self) -> PathBuf {
        self.0.path().join("files.tar")
    }
}

/// The benchmark of the balloon's package: cargo says where it is.
fn fill() -> Result<PathBuf> {
    let said =
        cargo(&["bench", "--package", "balloon", "--bench", "fill", "--no-run", "--message-format=json"])?;
    said.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "fill")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo did not say where the fill benchmark is".into())
}

fn cargo(words: &[&str]) -> Result<String> {
    output(Command::new(env!("CARGO")).args(words).arg("--quiet").current_dir(env!("CARGO_MANIFEST_DIR")))
}

/// This machine's stress-ng, when it has one. The guest's own C library may be another: it brings its own and the loader.
fn add_stress_ng(root: &Path) -> Result {
    let Ok(path) = output(Command::new("sh").args(["-c", "command -v stress-ng"])) else { return Ok(()) };
    let library = root.join(format!("{}/lib", &INSIDE[1..]));
    let commands = root.join("usr/local/bin");
    fs::create_dir_all(&library)?;
    fs::create_dir_all(&commands)?;
    fs::copy(path.trim(), library.join("stress-ng"))?;
    // `libm.so.6 => /lib/… (0x…)`, and the loader without an arrow; the vdso is no file.
    let needed = output(Command::new("ldd").arg(path.trim()))?;
    let files: Vec<&Path> =
        needed.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new).collect();
    for file in &files {
        fs::copy(file, library.join(file.file_name().ok_or("a library without a name")?))?;
    }
    let loader = files
        .iter()
        .filter_map(|file| file.file_name()?.to_str())
        .find(|name| name.starts_with("ld-linux"))
        .ok_or("stress-ng has no loader")?;
    let inside = format!("{INSIDE}/lib");
    let script = commands.join("stress-ng");
    let words = format!(
        "#!/bin/sh\nexec {inside}/{loader} --library-path {inside} --argv0 stress-ng {inside}/stress-ng \"$@\"\n"
    );
    fs::write(&script, words)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{command:?} ended with {}: {words}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
