//! What is installed is there as on a machine that was switched on with it, and what cannot be installed leaves nothing.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ci::{CloneOptions, Command, Event, Guest, Installation, Lab, LabError};
use rstest::rstest;

use crate::{GUEST, lab, say, tar_of};

const SLICE: (&str, &str) =
    ("etc/systemd/system/user-.slice.d/50-cap.conf", "[Slice]\nMemoryMax=300M\nMemorySwapMax=0\n");
const SERVICE: (&str, &str) = (
    "etc/systemd/system/server.service",
    "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
);

fn installation(directory: &Path, name: &str, commands: &[&str]) -> Installation {
    Installation {
        name: name.into(),
        files: tar_of(directory, &[SLICE, SERVICE]),
        commands: commands.iter().map(|script| Command::sh(*script)).collect(),
        patience: Duration::from_secs(60),
        memory: None,
    }
}

/// How often a machine was booted while this was installed.
fn boots(lab: &Lab, installation: &Installation) -> (Result<Lab, LabError>, usize) {
    let boots = AtomicUsize::new(0);
    let installed = lab.install(installation, &|event| {
        eprintln!("{event:?}");
        if let Event::BootStart { .. } = event {
            boots.fetch_add(1, Ordering::Relaxed);
        }
    });
    (installed, boots.into_inner())
}

#[rstest]
fn what_is_installed_has_been_booted_with(#[values(Guest::Bookworm, Guest::Trixie)] guest: Guest) {
    let directory = tempfile::tempdir().unwrap();
    let mut wanted = installation(
        directory.path(),
        "test",
        &[
            "useradd -m -u 1001 alice",
            "systemctl enable server.service",
            "systemctl enable --now missing.timer || true",
        ],
    );
    wanted.memory = Some(1536 << 20);
    let (installed, _) = boots(lab(guest), &wanted);
    let vm = installed.unwrap().spawn(&CloneOptions::new("installed")).unwrap();
    assert_eq!(say(&vm, "id -u alice; systemctl is-active server.service"), "1001\nactive");
    assert_eq!(say(&vm, "systemctl show user-1001.slice -p MemoryMax"), "MemoryMax=314572800");
    let total: u64 = say(&vm, "awk '/^MemTotal/ { print $2 }' /proc/meminfo").parse().unwrap();
    assert!((1300 << 10..1536 << 10).contains(&total), "{total} KiB of 1536 MiB");
    assert_eq!(boots(lab(guest), &wanted).1, 0, "it is cached by its content");
    // Content that no earlier run of this test has left in the cache.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    wanted.commands.push(Command::new("true").arg(now.to_string()));
    assert_eq!(boots(lab(guest), &wanted).1, 1, "one boot from cold for another content");
    assert_eq!(say(&lab(guest).spawn(&CloneOptions::new("bare")).unwrap(), "id -u alice || true"), "");
}

#[rstest]
#[case::fails("echo step one; echo no such package >&2; exit 3", "step one\nno such package", "3")]
#[case::hangs("echo waits; sleep infinity", "waits", "killed after 2 s")]
fn an_installation_that_does_not_end_well_leaves_nothing(
    #[case] command: &str,
    #[case] last_words: &str,
    #[case] how: &str,
) {
    let directory = tempfile::tempdir().unwrap();
    let mut wanted = installation(directory.path(), "broken", &[command]);
    wanted.patience = Duration::from_secs(2);
    for _ in 0..2 {
        let (installed, boots) = boots(lab(GUEST), &wanted);
        match installed {
            Err(LabError::Install { name, output, exit, .. }) => {
                assert_eq!((name.as_str(), output.as_str()), ("broken", last_words));
                assert!(exit.contains(how), "{exit}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(boots, 0);
    }
}
