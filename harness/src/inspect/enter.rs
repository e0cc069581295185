//! A tree → a process inside it, brought there as its users would bring one, and the cgroup in which it is.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::PATIENCE;
use crate::cgroupfs::{CgroupPath, cgroup_of};
use crate::deadline;
use crate::error::chain;
use crate::policy::{Entrance, Tree};
use crate::systemd::{Bus, Manager};

/// Stays for as long as this lives, where it is a process of this program's own.
pub(super) struct Inside {
    pub(super) cgroup: CgroupPath,
    _held: Option<Ended>,
}

/// Why there is no way in, in words.
type Closed = String;

pub(super) fn enter(bus: &Bus, tree: &Tree) -> Result<Inside, Closed> {
    match &tree.enter {
        Entrance::Ssh(user) => login(user),
        Entrance::Instance(unit) | Entrance::Service(unit) => service(bus, unit),
        Entrance::Docker => container(bus),
        Entrance::Scope(slice) => {
            // A tree that is a scope is made by entering it.
            let own = tree.cgroup.unit().filter(|unit| unit.unit_type() == "scope");
            let name = own.map_or_else(|| format!("bulkhead-tree-{}.scope", tree.id), ToString::to_string);
            scope(bus, slice, &name)
        }
    }
}

/// A login that tells its cgroup and stays.
fn login(user: &str) -> Result<Inside, Closed> {
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]).arg(format!("{user}@127.0.0.1"));
    ssh.arg("cat /proc/self/cgroup; exec sleep infinity");
    let ssh = ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut held = Ended(ssh.map_err(|error| format!("ssh cannot be run: {error}"))?);
    let (told, hears) = mpsc::channel();
    let stdout = held.0.stdout.take();
    thread::spawn(move || {
        let mut lines =
            stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok);
        // Whoever listens may have given up.
        let _ = told.send(lines.find_map(|line| line.strip_prefix("0::").map(str::to_owned)));
    });
    match hears.recv_timeout(PATIENCE) {
        Ok(Some(path)) => {
            let cgroup = path.parse().map_err(|_| format!("it says that it runs in `{path}`"))?;
            Ok(Inside { cgroup, _held: Some(held) })
        }
        Ok(None) => Err(held.last_words()),
        Err(_) => Err(format!("the login did not come up within {} s", PATIENCE.as_secs())),
    }
}

fn service(bus: &Bus, unit: &str) -> Result<Inside, Closed> {
    bus.start(unit).map_err(|error| chain(&error))?;
    let read = bus.unit(unit).map_err(|error| chain(&error))?;
    let cgroup = read.control_group.filter(|_| read.active_state.as_deref() == Some("active"));
    let cgroup = cgroup.ok_or_else(|| "it was started, and nothing of it runs".to_owned())?;
    Ok(Inside { cgroup, _held: None })
}

fn scope(bus: &Bus, slice: &str, name: &str) -> Result<Inside, Closed> {
    let sleep = Command::new("sleep").arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let held = Ended(sleep.map_err(|error| format!("sleep cannot be run: {error}"))?);
    let pid = held.0.id();
    bus.start_scope(name, slice, &[pid], &[]).map_err(|error| chain(&error))?;
    let cgroup = cgroup_of(Path::new("/proc"), pid).map_err(|error| chain(&error))?;
    Ok(Inside { cgroup, _held: Some(held) })
}

/// A container of an image with one file: a bystander.
fn container(bus: &Bus) -> Result<Inside, Closed> {
    const IMAGE: &str = "bulkhead-bystander";
    bus.start("docker.service").map_err(|error| chain(&error))?;
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = here.parent().unwrap_or(Path::new("/")).display().to_string();
    let script = format!(
        "set -e
tar --create --directory \"$1\" bystander | docker import - {IMAGE} >/dev/null
id=$(docker run --detach --network none {IMAGE} /bystander --status /status heartbeat)
docker inspect --format '{{{{.State.Pid}}}}' \"$id\""
    );
    let mut docker = Command::new("sh");
    let said = deadline::output(docker.args(["-c", &script, "docker", &programs]), PATIENCE);
    let said = said.map_err(|error| chain(&error))?;
    let pid = String::from_utf8_lossy(&said.stdout).trim().parse().ok().filter(|pid| *pid > 0);
    let pid: u32 = pid.ok_or_else(|| words(&said.stderr, "the container ended at once"))?;
    let cgroup = cgroup_of(Path::new("/proc"), pid).map_err(|error| chain(&error))?;
    Ok(Inside { cgroup, _held: None })
}

/// What was said last, or else that.
fn words(said: &[u8], otherwise: &str) -> String {
    let said = String::from_utf8_lossy(said);
    said.lines().next_back().unwrap_or(otherwise).trim().to_owned()
}

/// Killed and reaped when this is dropped.
struct Ended(Child);

impl Ended {
    fn last_words(&mut self) -> String {
        let mut said = Vec::new();
        if let Some(stderr) = &mut self.0.stderr {
            // Without words there is still the fact.
            let _ = stderr.read_to_end(&mut said);
        }
        words(&said, "the login ended at once")
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
