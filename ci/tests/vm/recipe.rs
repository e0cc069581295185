//! Both guests have what the recipe promises.

use ci::Guest;
use rstest::rstest;

use crate::{clone, say};

#[rstest]
#[case(Guest::Bookworm, "12", "252", "6.1.")]
#[case(Guest::Trixie, "13", "257", "6.12.")]
fn it_is_the_release_it_is_called(
    #[case] guest: Guest,
    #[case] debian: &str,
    #[case] systemd: &str,
    #[case] kernel: &str,
) {
    let vm = clone(guest, "release");
    assert_eq!(say(&vm, ". /etc/os-release; echo $ID $VERSION_ID"), format!("debian {debian}"));
    assert!(say(&vm, "systemctl --version").starts_with(&format!("systemd {systemd} ")));
    assert!(say(&vm, "uname -r").starts_with(kernel));
}

#[rstest]
fn it_is_healthy_and_measurable(#[values(Guest::Bookworm, Guest::Trixie)] guest: Guest) {
    let vm = clone(guest, "health");
    assert_eq!(say(&vm, "systemctl is-system-running"), "running");
    assert_eq!(say(&vm, "systemctl --failed --no-legend"), "");
    assert!(say(&vm, "cat /sys/fs/cgroup/cgroup.controllers").split(' ').any(|name| name == "memory"));
    assert!(say(&vm, "cat /proc/pressure/memory").starts_with("some avg10="));
    assert_eq!(say(&vm, "cat /etc/bulkhead/host.toml"), "schema = 1\ndisposable = true");
    let running = "systemctl is-active systemd-oomd ssh dbus systemd-logind systemd-journald";
    assert_eq!(say(&vm, running), ["active"; 5].join("\n"));
    let resting = "systemctl is-active earlyoom docker containerd docker.socket || true";
    assert_eq!(say(&vm, resting), ["inactive"; 4].join("\n"));
    assert_eq!(say(&vm, "sysctl -n vm.panic_on_oom"), "0");
}

#[rstest]
fn ssh_greets_a_stranger_again_and_again_and_lets_root_in(
    #[values(Guest::Bookworm, Guest::Trixie)] guest: Guest,
) {
    let vm = clone(guest, "ssh");
    // More connections that never log in than OpenSSH 9.8 and later forgive.
    let knock =
        "bash -c 'for i in $(seq 20); do exec 3<>/dev/tcp/127.0.0.1/22; head -c 4 <&3; exec 3>&-; done'";
    assert_eq!(say(&vm, knock), "SSH-".repeat(20));
    let login = "ssh -o BatchMode=yes root@127.0.0.1 'id -u; cat /proc/self/cgroup'";
    let told = say(&vm, login);
    assert!(told.starts_with("0\n0::/user.slice/user-0.slice/session-"), "{told}");
}

#[rstest]
fn the_swap_device_can_be_turned_on(#[values(Guest::Bookworm, Guest::Trixie)] guest: Guest) {
    let vm = clone(guest, "swap");
    assert_eq!(say(&vm, "free -b | awk '/Swap/ { print $2 }'"), "0");
    say(&vm, "swapon /dev/vdc");
    assert_eq!(say(&vm, "free -b | awk '/Swap/ { print $2 }'"), ((1_u64 << 30) - 4096).to_string());
}

#[rstest]
fn earlyoom_and_docker_start_when_asked_to(#[values(Guest::Bookworm, Guest::Trixie)] guest: Guest) {
    let vm = clone(guest, "docker");
    say(&vm, "systemctl start earlyoom docker");
    assert_eq!(say(&vm, "systemctl is-active earlyoom docker containerd"), ["active"; 3].join("\n"));
    assert_eq!(say(&vm, "docker info --format '{{.CgroupDriver}} {{.CgroupVersion}}'"), "systemd 2");
}
