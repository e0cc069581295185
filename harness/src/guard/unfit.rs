//! The facts of a machine → why nothing can be shown on it, and what mends that.
//!
//! Each of these would end a run half-way with an error number, or leave it without a witness.

use crate::host::{Hierarchy, HostFacts};

/// Why nothing runs on a machine, whatever the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Somebody else than root.
    #[error("a run needs root: start it with sudo, or run in a throwaway VM with --on vm")]
    NotRoot,
    /// Another init.
    #[error(
        "PID 1 of this machine is not systemd, which starts, limits and ends everything in a run: boot the machine \
         with systemd, or run in a throwaway VM with --on vm"
    )]
    NotSystemd,
    /// Not the unified hierarchy.
    #[error(
        "{}: boot with systemd.unified_cgroup_hierarchy=1, and without cgroup_no_v1= and \
         systemd.legacy_systemd_cgroup_controller",
        layout(*.0)
    )]
    NotUnified(Hierarchy),
    /// The hierarchy counts events only where they happen.
    #[error(
        "/sys/fs/cgroup is mounted with memory_localevents, so a slice does not count the kills below it: \
         `mount -o remount,nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup`"
    )]
    LocalEvents,
    /// Nobody counts memory.
    #[error(
        "cgroup v2 has no memory controller here (/sys/fs/cgroup/cgroup.controllers): boot without \
         cgroup_disable=memory and without a cgroup v1 mount that takes it"
    )]
    NoMemoryController,
    /// No pressure is measured.
    #[error("the kernel does not track pressure (no /proc/pressure/memory): boot with psi=1")]
    NoPressure,
    /// The first witness of a kill is not there.
    #[error(
        "the kernel log (/dev/kmsg), the first witness of a kill, is not readable: run as root with CAP_SYSLOG, outside \
         of a container"
    )]
    NoKernelLog,
    /// A fact could not be read.
    #[error("{0} could not be read, so a run here might observe nothing")]
    Unknown(&'static str),
}

fn layout(hierarchy: Hierarchy) -> &'static str {
    match hierarchy {
        Hierarchy::Hybrid => "this machine has the hybrid cgroup hierarchy: v2 is not at /sys/fs/cgroup",
        Hierarchy::Legacy => "this machine has cgroup v1 only",
        Hierarchy::Unified | Hierarchy::Absent => "no cgroup hierarchy is mounted on this machine",
    }
}

/// Refuses a machine on which no run could be started or observed.
///
/// # Errors
/// The first reason, with what mends it.
pub fn fit(host: &HostFacts) -> Result<(), Unfit> {
    let holds = |fact: Option<bool>, what, otherwise| match fact {
        Some(true) => Ok(()),
        Some(false) => Err(otherwise),
        None => Err(Unfit::Unknown(what)),
    };
    holds(host.root, "the user of this process (/proc/self/status)", Unfit::NotRoot)?;
    holds(host.systemd_is_pid1, "the name of PID 1 (/proc/1/comm)", Unfit::NotSystemd)?;
    let mount = match (host.hierarchy, &host.cgroup2) {
        (Some(Hierarchy::Unified), Some(mount)) => mount,
        (Some(Hierarchy::Unified), None) | (None, _) => {
            return Err(Unfit::Unknown("the cgroup mounts (/proc/self/mounts)"));
        }
        (Some(other), _) => return Err(Unfit::NotUnified(other)),
    };
    holds(Some(!mount.events_are_local()), "the cgroup mounts", Unfit::LocalEvents)?;
    let memory = mount.controllers.as_ref().map(|_| mount.has_memory());
    holds(memory, "/sys/fs/cgroup/cgroup.controllers", Unfit::NoMemoryController)?;
    holds(host.psi, "/proc/pressure/memory", Unfit::NoPressure)?;
    holds(host.kmsg_readable, "/dev/kmsg", Unfit::NoKernelLog)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::host::Cgroup2;

    /// A machine with everything that a run needs.
    fn sound() -> HostFacts {
        HostFacts {
            root: Some(true),
            systemd_is_pid1: Some(true),
            hierarchy: Some(Hierarchy::Unified),
            cgroup2: Some(mounted("rw", Some("cpu memory"))),
            psi: Some(true),
            kmsg_readable: Some(true),
            ..HostFacts::default()
        }
    }

    fn mounted(options: &str, controllers: Option<&str>) -> Cgroup2 {
        let words = |text: &str| text.split([' ', ',']).map(str::to_owned).collect();
        Cgroup2 { options: words(options), controllers: controllers.map(words) }
    }

    fn with_mount(options: &str, controllers: Option<&str>) -> HostFacts {
        HostFacts { cgroup2: Some(mounted(options, controllers)), ..sound() }
    }

    #[test]
    fn a_sound_machine_is_fit() {
        assert_eq!(fit(&sound()), Ok(()));
    }

    #[rstest]
    #[case::not_root(HostFacts { root: Some(false), ..sound() }, "a run needs root: start it with sudo")]
    #[case::another_init(HostFacts { systemd_is_pid1: Some(false), ..sound() }, "PID 1 of this machine is not systemd")]
    #[case::cgroup_v1(HostFacts { hierarchy: Some(Hierarchy::Legacy), cgroup2: None, ..sound() }, "this machine has cgroup v1 only: boot with systemd.unified_cgroup_hierarchy=1")]
    #[case::hybrid(HostFacts { hierarchy: Some(Hierarchy::Hybrid), cgroup2: None, ..sound() }, "this machine has the hybrid cgroup hierarchy")]
    #[case::no_cgroups(HostFacts { hierarchy: Some(Hierarchy::Absent), cgroup2: None, ..sound() }, "no cgroup hierarchy is mounted")]
    #[case::local_events(
        with_mount("rw,memory_localevents", Some("memory")),
        "/sys/fs/cgroup is mounted with memory_localevents"
    )]
    #[case::no_memory_controller(with_mount("rw", Some("cpu io")), "cgroup v2 has no memory controller here")]
    #[case::psi_off(HostFacts { psi: Some(false), ..sound() }, "the kernel does not track pressure (no /proc/pressure/memory): boot with psi=1")]
    #[case::no_kernel_log(HostFacts { kmsg_readable: Some(false), ..sound() }, "the kernel log (/dev/kmsg), the first witness of a kill, is not readable")]
    fn an_unfit_machine_is_refused_with_what_mends_it(#[case] host: HostFacts, #[case] words: &str) {
        let refusal = fit(&host).expect_err("refused").to_string();
        assert!(refusal.starts_with(words), "{refusal}");
    }

    #[rstest]
    #[case::user(HostFacts { root: None, ..sound() }, "the user of this process (/proc/self/status)")]
    #[case::init(HostFacts { systemd_is_pid1: None, ..sound() }, "the name of PID 1 (/proc/1/comm)")]
    #[case::mounts(HostFacts { hierarchy: None, ..sound() }, "the cgroup mounts (/proc/self/mounts)")]
    #[case::controllers(with_mount("rw", None), "/sys/fs/cgroup/cgroup.controllers")]
    #[case::pressure(HostFacts { psi: None, ..sound() }, "/proc/pressure/memory")]
    #[case::kernel_log(HostFacts { kmsg_readable: None, ..sound() }, "/dev/kmsg")]
    fn what_could_not_be_read_is_refused_too(#[case] host: HostFacts, #[case] what: &'static str) {
        assert_eq!(fit(&host), Err(Unfit::Unknown(what)));
    }
}
