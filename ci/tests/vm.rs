//! The truth about guests, told by real ones.

use std::sync::OnceLock;

use ci::{CloneOptions, Command, Exit, Guest, Lab, Vm};

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

#[test]
fn smoke() {
    let vm = clone(Guest::Trixie, "smoke");
    eprintln!("ready in {:?}", vm.ready_in());
    let (exit, out) = vm.output(&Command::sh("date; systemd-analyze; systemd-analyze blame | head -30; free -m; lsblk; cat /proc/self/cgroup; systemctl list-units --no-pager; dmesg | tail -5")).unwrap();
    eprintln!("{out}");
    assert_eq!(exit, Exit::Code(0));
}
