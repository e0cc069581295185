//! What the harness costs and how fast it sees a kill, measured where it works: inside a throwaway guest.
//!
//! `cargo bench -p harness --bench guest [-- bookworm] [fill|sampling|kill-delay|footprint …]` clones the guest (default
//! trixie), copies static programs in, runs every part there, and prints Markdown tables. This program copies itself
//! in too: `inside PART` is what runs there.

mod figures;
mod footprint;
mod inside;
mod kill_delay;
mod kit;
#[path = "../load.rs"]
mod load;
mod sampling;

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use ci::{CloneOptions, Command, Exit, Guest, Lab, Stream, Vm};
use kit::{INSIDE, Kit};
use load::Load;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const PARTS: [&str; 4] = ["fill", "sampling", "kill-delay", "footprint"];
/// Fits well into a guest of 2 GiB.
const FILL_MIB: &str = "512";
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> Result {
    // cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["inside", "sampling"] => sampling::run(),
        ["inside", "kill-delay"] => kill_delay::run(),
        ["inside", "spin"] => kill_delay::spin(),
        words => outside(words),
    }
}

/// On this machine: boots, copies, starts, prints.
fn outside(words: &[&str]) -> Result {
    let (parts, guests): (Vec<&str>, Vec<&str>) =
        words.iter().copied().partition(|word| PARTS.contains(word));
    let guests = match guests.as_slice() {
        [] => vec![Guest::Trixie],
        names => names.iter().map(|name| name.parse::<Guest>()).collect::<std::result::Result<_, _>>()?,
    };
    let kit = Kit::pack()?;
    for guest in guests {
        let lab = Lab::prepare(guest, &|_| {})?;
        for part in PARTS.iter().filter(|part| parts.is_empty() || parts.contains(part)) {
            println!("\n### {guest}: {part}\n\nBefore: {}.\n", Load::now());
            match *part {
                "footprint" => footprint::run(&lab, &kit)?,
                "fill" => in_clone(&lab, &kit, &fill())?,
                part => in_clone(&lab, &kit, &delegated(part))?,
            }
            println!("\nAfter: {}.", Load::now());
        }
    }
    Ok(())
}

fn fill() -> Command {
    Command::new(format!("{INSIDE}/fill")).arg(FILL_MIB).env("BALLOON", format!("{INSIDE}/balloon"))
}

/// In a service whose cgroup is the program's own to divide, as systemd wants it (CGROUP_DELEGATION.md).
fn delegated(part: &str) -> Command {
    Command::new("systemd-run").args([
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        "--property=Delegate=yes",
        // The kills of the benchmark are not the end of its service.
        "--property=OOMPolicy=continue",
        // Ten descriptors for each of a thousand cgroups.
        "--property=LimitNOFILE=65536",
        &format!("{INSIDE}/guest"),
        "inside",
        part,
    ])
}

fn in_clone(lab: &Lab, kit: &Kit, command: &Command) -> Result {
    let vm = spawn(lab, kit)?;
    let command = command.clone().timeout(PATIENCE);
    let exit = vm.exec(&command, &mut |stream, bytes| {
        // A closed pipe shows at the next println.
        let _ = match stream {
            Stream::Stdout => std::io::stdout().write_all(bytes),
            Stream::Stderr => std::io::stderr().write_all(bytes),
        };
    })?;
    if exit == Exit::Code(0) { Ok(()) } else { Err(format!("inside the guest: {exit}").into()) }
}

fn spawn(lab: &Lab, kit: &Kit) -> Result<Vm> {
    let options = CloneOptions { files: Some(kit.tar()), ..CloneOptions::new("bench") };
    Ok(lab.spawn(&options)?)
}
