//! `bulkhead shell`, as a person and as a script use it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};
use rstest::rstest;

use crate::machine::programs;

fn shell() -> Command {
    let mut command = Command::new(programs().join("bulkhead"));
    command.args(["shell"]);
    command
}

#[rstest]
#[case::trixie("trixie", "13")]
#[case::bookworm("bookworm", "12")]
fn a_command_runs_in_the_guest_and_its_code_comes_back(#[case] guest: &str, #[case] version: &str) {
    let script = ". /etc/os-release; echo $VERSION_ID; ls /opt/bulkhead; echo no >&2; exit 7";
    let ran = shell().args(["--guest", guest, "--", "sh", "-c", script]).output().expect("bulkhead shell");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("{version}\nballoon\nbulkhead\nbystander\n"));
    assert!(String::from_utf8_lossy(&ran.stderr).ends_with("no\n"));
    assert_eq!(ran.status.code(), Some(7));
}

#[test]
fn a_script_on_standard_input_is_run() {
    let mut ran = shell().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bulkhead shell");
    ran.stdin
        .take()
        .expect("piped")
        .write_all(b"f() { echo \"$1\"; }\nf $USER$PWD\nkill -TERM $$\n")
        .expect("told");
    let output = ran.wait_with_output().expect("ended");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/root\n");
    assert_eq!(output.status.code(), Some(128 + 15));
}

/// What is typed is not shown by this terminal but by the guest's, which is as large.
#[test]
fn on_a_terminal_it_is_a_login_shell() {
    let size = Winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).expect("a terminal");
    let end = || Stdio::from(pty.slave.try_clone().expect("another end"));
    let mut ran =
        shell().stdin(end()).stdout(end()).stderr(end()).env("TERM", "dumb").spawn().expect("bulkhead shell");
    drop(pty.slave);
    let mut screen = File::from(pty.master.try_clone().expect("another end"));
    let mut keyboard = File::from(pty.master);
    let mut shown = String::new();
    let mut typed = false;
    let mut piece = [0; 4096];
    while let Ok(bytes @ 1..) = screen.read(&mut piece) {
        shown += &String::from_utf8_lossy(&piece[..bytes]);
        if !typed && shown.contains("root@") {
            keyboard.write_all(b"stty size; shopt -q login_shell && exit 5\r").expect("typed");
            typed = true;
        }
    }
    assert!(shown.contains("33 111"), "{shown}");
    assert_eq!(ran.wait().expect("ended").code(), Some(5), "{shown}");
}
