//! The machine becomes facts, read once before anything is planned.
//!
//! A fact that cannot be read is `None`, not a guess: whoever needs it says so. Rooted at any directory, for tests. It
//! judges nothing: which facts forbid a run is the guard's business.

mod cgroup2;
mod disk;
mod swaps;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use reports::outcome::Killer;
use serde::{Deserialize, Serialize};

pub use cgroup2::{Cgroup2, Hierarchy};
pub use disk::Disk;
pub use swaps::SwapDevice;

use text::{read, word};

use crate::kernfile::{number, page_size};
use crate::killer::{self, Daemon};
use crate::metric::Field;
use crate::psi;
use crate::systemd::Manager;

/// Where the files of writers and readers and cold copies of programs lie.
pub const DATA: &str = "/var/lib/bulkhead";

/// What is known about this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// `uname -r`: `6.12.107+deb13-cloud-amd64`.
    pub kernel_release: Option<String>,
    /// systemd's version number, when it was asked.
    pub systemd_version: Option<u32>,
    /// Whether PID 1 is systemd.
    pub systemd_is_pid1: Option<bool>,
    /// New with each boot.
    pub boot_id: Option<String>,
    /// Bytes in a page.
    pub page_size: u64,
    /// Processors online.
    pub cpus: Option<u32>,
    /// Whether the processor says that it is virtual (x86 only).
    pub virtualized: Option<bool>,
    /// `MemTotal` in bytes.
    pub memory_total: Option<u64>,
    /// `MemAvailable` in bytes.
    pub memory_available: Option<u64>,
    /// Bytes of swap, on all devices.
    pub swap_total: Option<u64>,
    /// Bytes of it in use.
    pub swap_used: Option<u64>,
    /// The devices in `/proc/swaps`; an empty list is a machine without swap.
    pub swaps: Option<Vec<SwapDevice>>,
    /// Whether this process runs as root.
    pub root: Option<bool>,
    /// Which cgroup hierarchies are mounted.
    pub hierarchy: Option<Hierarchy>,
    /// The cgroup v2 mount that systemd uses; `None` when there is none.
    pub cgroup2: Option<Cgroup2>,
    /// The file system that holds the data of runs, when it was asked.
    pub data_disk: Option<Disk>,
    /// Whether `/proc/pressure/memory` can be read and holds what it should; not there counts as no.
    pub psi: Option<bool>,
    /// `always`, `madvise` or `never`: transparent huge pages.
    pub huge_pages: Option<String>,
    /// Whether multi-generational LRU is on; `None` on a kernel without it.
    pub mglru: Option<bool>,
    /// `vm.panic_on_oom`: anything but 0 turns an OOM into a panic.
    pub panic_on_oom: Option<u64>,
    /// `vm.oom_kill_allocating_task`: anything but 0 kills whoever asked.
    pub oom_kill_allocating_task: Option<u64>,
    /// `vm.overcommit_memory`: 0 heuristic, 1 always, 2 never.
    pub overcommit_memory: Option<u64>,
    /// `kernel.dmesg_restrict`: 1 keeps the kernel log from all without CAP_SYSLOG.
    pub dmesg_restrict: Option<u64>,
    /// Whether this process may read `/dev/kmsg`.
    pub kmsg_readable: Option<bool>,
    /// Whether each OOM killer in user space runs, as far as systemd was asked and answered.
    pub killers: BTreeMap<Killer, bool>,
}

/// The facts about this machine; those that only systemd knows when `manager` is there to ask.
pub fn probe(manager: Option<&dyn Manager>) -> HostFacts {
    let mut facts = probe_below(Path::new("/"));
    facts.data_disk = disk::holding(Path::new(DATA));
    if let Some(manager) = manager {
        facts.systemd_version = manager.version().ok();
        let active = |daemon: &Daemon| Some((daemon.killer, manager.unit(daemon.unit).ok()?.is_active()));
        facts.killers = killer::ALL.into_iter().filter_map(active).collect();
    }
    facts
}

/// The facts in the files below `root`.
#[must_use]
pub fn probe_below(root: &Path) -> HostFacts {
    let meminfo = read(root, "proc/meminfo").unwrap_or_default();
    let meminfo = |field: Field| field.value(meminfo.as_bytes());
    let sysctl =
        |name: &str| read(root, &format!("proc/sys/{name}")).and_then(|text| number(text.as_bytes()));
    HostFacts {
        kernel_release: word(root, "proc/sys/kernel/osrelease"),
        systemd_version: None,
        systemd_is_pid1: word(root, "proc/1/comm")
            .map(|comm| comm == "systemd" && root.join("run/systemd/system").is_dir()),
        boot_id: word(root, "proc/sys/kernel/random/boot_id"),
        page_size: page_size(),
        cpus: read(root, "sys/devices/system/cpu/online").and_then(|text| listed(text.trim())),
        virtualized: read(root, "proc/cpuinfo").and_then(|text| virtualized(&text)),
        memory_total: meminfo(Field::Kib("MemTotal")),
        memory_available: meminfo(Field::Kib("MemAvailable")),
        swap_total: meminfo(Field::Kib("SwapTotal")),
        swap_used: meminfo(Field::KibLess("SwapTotal", "SwapFree")),
        swaps: read(root, "proc/swaps").and_then(|text| swaps::parse(&text)),
        root: read(root, "proc/self/status").and_then(|text| is_root(&text)),
        hierarchy: cgroup2::hierarchy(root),
        cgroup2: cgroup2::find(root),
        data_disk: None,
        psi: readable_psi(root),
        huge_pages: read(root, "sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
        mglru: word(root, "sys/kernel/mm/lru_gen/enabled").and_then(|bits| {
            u64::from_str_radix(bits.trim_start_matches("0x"), 16).ok().map(|bits| bits & 1 == 1)
        }),
        panic_on_oom: sysctl("vm/panic_on_oom"),
        oom_kill_allocating_task: sysctl("vm/oom_kill_allocating_task"),
        overcommit_memory: sysctl("vm/overcommit_memory"),
        dmesg_restrict: sysctl("kernel/dmesg_restrict"),
        kmsg_readable: may_read(&root.join("dev/kmsg")),
        killers: BTreeMap::new(),
    }
}

impl HostFacts {
    /// The first two numbers of the kernel release: (6, 12) of `6.12.107+deb13-cloud-amd64`.
    #[must_use]
    pub fn kernel(&self) -> Option<(u32, u32)> {
        let mut numbers = self.kernel_release.as_deref()?.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// A kernel that was built with PSI off by default may have the file and refuse to read it, so the file is read.
fn readable_psi(root: &Path) -> Option<bool> {
    match fs::read(root.join("proc/pressure/memory")) {
        Ok(text) => Some(psi::parse(&text).some.is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            root.join("proc/meminfo").exists().then_some(false)
        }
        Err(_) => Some(false),
    }
}

/// The effective user id is the second of the four (proc_pid_status(5)).
fn is_root(status: &str) -> Option<bool> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(ids.split_ascii_whitespace().nth(1)?.parse::<u32>().ok()? == 0)
}

fn may_read(path: &Path) -> Option<bool> {
    match fs::File::open(path) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(false),
    }
}

/// How many numbers a kernel list such as `0-3,8` holds.
fn listed(list: &str) -> Option<u32> {
    list.split(',').try_fold(0u32, |count, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The `[chosen]` word among the alternatives.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// Whether the first processor has the flag by which hypervisors announce themselves; only x86 lists `flags`.
fn virtualized(cpuinfo: &str) -> Option<bool> {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{Fake, Unit};

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(path, text).expect("write");
        }
        root
    }

    #[test]
    fn nothing_to_read_is_nothing_known() {
        let root = tree(&[]);
        let facts = probe_below(root.path());
        assert_eq!(facts, HostFacts { page_size: page_size(), ..HostFacts::default() });
        assert_eq!(facts.kernel(), None);
    }

    #[test]
    fn a_trixie_guest_is_read() {
        let root = tree(&[
            ("proc/sys/kernel/osrelease", "6.12.107+deb13-cloud-amd64\n"),
            ("proc/1/comm", "systemd\n"),
            ("run/systemd/system/.keep", ""),
            ("proc/sys/kernel/random/boot_id", "d1d6b1f5-0000-4000-8000-000000000000\n"),
            ("sys/devices/system/cpu/online", "0-1,4\n"),
            ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor sse\n"),
            (
                "proc/meminfo",
                "MemTotal: 2020524 kB\nMemAvailable: 1000 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n",
            ),
            ("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/swapfile file\t524284\t0\t-2\n"),
            ("proc/self/status", "Name:\tbulkhead\nUid:\t1000\t0\t0\t0\n"),
            ("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate,memory_recursiveprot 0 0\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n"),
            ("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
            ("sys/kernel/mm/lru_gen/enabled", "0x0007\n"),
            ("proc/sys/vm/panic_on_oom", "0\n"),
            ("proc/sys/vm/oom_kill_allocating_task", "0\n"),
            ("proc/sys/vm/overcommit_memory", "1\n"),
            ("proc/sys/kernel/dmesg_restrict", "1\n"),
            ("dev/kmsg", ""),
        ]);
        let mut facts = probe_below(root.path());
        facts.page_size = 4096;
        assert_eq!(facts.kernel(), Some((6, 12)));
        insta::assert_snapshot!(serde_json::to_string_pretty(&facts).expect("json"), @r#"
        {
          "kernel_release": "6.12.107+deb13-cloud-amd64",
          "systemd_version": null,
          "systemd_is_pid1": true,
          "boot_id": "d1d6b1f5-0000-4000-8000-000000000000",
          "page_size": 4096,
          "cpus": 3,
          "virtualized": true,
          "memory_total": 2069016576,
          "memory_available": 1024000,
          "swap_total": 10240,
          "swap_used": 6144,
          "swaps": [
            {
              "path": "/swapfile",
              "kind": "file",
              "size": 536866816,
              "used": 0,
              "priority": -2
            }
          ],
          "root": true,
          "hierarchy": "unified",
          "cgroup2": {
            "options": [
              "rw",
              "nsdelegate",
              "memory_recursiveprot"
            ],
            "controllers": [
              "cpuset",
              "cpu",
              "io",
              "memory",
              "pids"
            ]
          },
          "data_disk": null,
          "psi": true,
          "huge_pages": "always",
          "mglru": true,
          "panic_on_oom": 0,
          "oom_kill_allocating_task": 0,
          "overcommit_memory": 1,
          "dmesg_restrict": 1,
          "kmsg_readable": true,
          "killers": {}
        }
        "#);
        let text = serde_json::to_string(&facts).expect("json");
        assert_eq!(serde_json::from_str::<HostFacts>(&text).expect("facts"), facts);
    }

    #[test]
    fn a_kernel_without_pressure_or_with_it_refused_says_no() {
        let without = tree(&[("proc/meminfo", "MemTotal: 1 kB\n")]);
        assert_eq!(probe_below(without.path()).psi, Some(false));
        let empty = tree(&[("proc/pressure/memory", "")]);
        assert_eq!(probe_below(empty.path()).psi, Some(false));
    }

    #[test]
    fn systemd_is_pid_1_only_when_it_also_runs_the_system() {
        let container = tree(&[("proc/1/comm", "systemd\n")]);
        assert_eq!(probe_below(container.path()).systemd_is_pid1, Some(false));
        let other = tree(&[("proc/1/comm", "init\n"), ("run/systemd/system/.keep", "")]);
        assert_eq!(probe_below(other.path()).systemd_is_pid1, Some(false));
    }

    #[test]
    fn what_only_systemd_knows_is_asked_of_it() {
        let fake = Fake::new(257);
        fake.put(Unit {
            name: "earlyoom.service".into(),
            load_state: "loaded".into(),
            active_state: Some("active".into()),
            ..Unit::default()
        });
        let facts = probe(Some(&fake));
        assert_eq!(facts.systemd_version, Some(257));
        assert_eq!(facts.killers, [(Killer::SystemdOomd, false), (Killer::Earlyoom, true)].into());
        assert_eq!(probe(None).killers, BTreeMap::new());
    }
}
