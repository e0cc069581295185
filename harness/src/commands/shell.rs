//! `bulkhead shell`: a root shell, or one command, in a throwaway clone.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::thread;

use ci::{CloneOptions, Command, Exit, Running, Stream, Teller};
use nix::sys::termios::{self, SetArg, Termios};

use super::{lab, policy};
use crate::case::vm::Bundle;
use crate::cli::Shell;
use crate::display::Display;
use crate::exit_code::ExitCode;

/// Added to the number of a signal that ended the command, as shells do.
const SIGNALLED: i32 = 128;

/// Returns the exit code of the shell or command.
pub(super) fn shell(arguments: &Shell) -> anyhow::Result<u8> {
    let display = Display::of(0);
    let bundle = Bundle::pack()?;
    let lab = match &arguments.policy {
        None => lab::prepare(arguments.guest.into(), &display, &|_| {})?,
        Some(path) => match policy::read(path, arguments.guest_memory)? {
            None => return Ok(ExitCode::Usage.code()),
            Some(policy) => policy.install(arguments.guest, &display)?,
        },
    };
    let vm = lab.spawn(&CloneOptions { files: Some(bundle.tar()), ..CloneOptions::new("shell") })?;
    drop(display);
    let keyboard = io::stdin();
    let exit = match arguments.command.as_slice() {
        [] if keyboard.is_terminal() => {
            let raw = Raw::begin()?;
            let mut running = vm.start(&interactive())?;
            type_into(running.teller());
            let exit = copy_out(&mut running)?;
            drop(raw);
            exit
        }
        [] => {
            let mut script = String::new();
            keyboard.lock().read_to_string(&mut script)?;
            copy_out(&mut vm.start(&Command::new("bash").args(["-c", &script]).cwd("/root"))?)?
        }
        [program, words @ ..] => copy_out(&mut vm.start(&Command::new(program).args(words).cwd("/root"))?)?,
    };
    let code = match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => SIGNALLED + signal,
    };
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A login shell on a terminal of the guest's own, as large as this one.
fn interactive() -> Command {
    let (columns, rows) =
        terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0, height.0));
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
    Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty columns {columns} rows {rows}; exec bash --login"))
        .arg("/dev/null")
        .env("TERM", terminal)
        .cwd("/root")
        .told()
}

/// What is typed here goes there, until this program ends.
fn type_into(teller: Teller) {
    thread::spawn(move || {
        let mut keyboard = io::stdin().lock();
        let mut typed = [0; 4096];
        while let Ok(bytes @ 1..) = keyboard.read(&mut typed) {
            // A shell that has ended is told nothing more.
            if teller.tell(&typed[..bytes]).is_err() {
                break;
            }
        }
    });
}

fn copy_out(running: &mut Running) -> anyhow::Result<Exit> {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let exit = running.wait(&mut |stream, bytes| {
        // Nobody may be left to read it: the command goes on, and is heard to its end.
        let _ = match stream {
            Stream::Stdout => out.write_all(bytes).and_then(|()| out.flush()),
            Stream::Stderr => err.write_all(bytes),
        };
    })?;
    Ok(exit)
}

/// The terminal passes on every key as it is, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn begin() -> nix::Result<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = termios::tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &self.0);
    }
}
