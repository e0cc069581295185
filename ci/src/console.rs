//! The guest's serial line → the last lines of it, kept while the machine lives.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Enough for several kernel dumps.
const KEEP: usize = 512 * 1024;

/// What the guest wrote to its console.
#[derive(Debug, Default)]
pub(crate) struct Console {
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    /// Bytes that went by before `text` starts.
    dropped: usize,
    closed: bool,
}

impl Console {
    /// Reads in the background until the other end is gone.
    pub(crate) fn read(mut from: UnixStream) -> Arc<Self> {
        let console = Arc::new(Self::default());
        let reader = Arc::clone(&console);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                reader.push(&String::from_utf8_lossy(&buffer[..n]));
            }
            reader.lock().closed = true;
            reader.closed.notify_all();
        });
        console
    }

    fn push(&self, text: &str) {
        let mut state = self.lock();
        state.text.push_str(&text.replace('\r', ""));
        if state.text.len() > 2 * KEEP {
            let excess = state.text.len() - KEEP;
            let cut = state.text.char_indices().map(|(at, _)| at).find(|at| *at >= excess).unwrap_or(excess);
            state.text.drain(..cut);
            state.dropped += cut;
        }
    }

    /// All that is kept.
    pub(crate) fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// The last lines.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let state = self.lock();
        let all: Vec<_> = state.text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Calls with every complete line since the cursor, and moves it.
    pub(crate) fn lines_since(&self, cursor: &mut usize, mut on_line: impl FnMut(&str)) {
        let fresh = {
            let state = self.lock();
            let start = cursor.saturating_sub(state.dropped).min(state.text.len());
            let end = state.text.rfind('\n').map_or(0, |at| at + 1).max(start);
            *cursor = state.dropped + end;
            state.text[start..end].to_owned()
        };
        fresh.lines().for_each(&mut on_line);
    }

    /// Waits until the machine is gone and its last word has been read.
    pub(crate) fn wait_closed(&self, patience: Duration) {
        let state = self.lock();
        let _ = self.closed.wait_timeout_while(state, patience, |state| !state.closed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_handed_out_once_and_only_when_complete() {
        let console = Console::default();
        let (mut cursor, mut lines) = (0, Vec::new());
        console.push("one\r\ntw");
        console.lines_since(&mut cursor, |line| lines.push(line.to_owned()));
        console.push("o\r\n");
        console.lines_since(&mut cursor, |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(console.tail(1), "two");
    }

    #[test]
    fn a_flood_keeps_its_end_and_the_cursor_its_place() {
        let console = Console::default();
        let mut cursor = 0;
        for n in 0..200_000 {
            console.push(&format!("line {n}\n"));
        }
        assert!(console.text().len() <= 2 * KEEP);
        console.lines_since(&mut cursor, |_| {});
        console.push("last\n");
        let mut lines = Vec::new();
        console.lines_since(&mut cursor, |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["last"]);
    }
}
