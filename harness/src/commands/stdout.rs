//! Text → standard output, all of it, or an error for `main` to end with: `println!` would panic.

use std::io::{ErrorKind, Write};

use reports::sink::WriteError;

/// Prints `text` as it is.
///
/// # Errors
/// Standard output that takes no more: its reader is gone, or its disk is full.
pub(super) fn print(text: &str) -> Result<(), WriteError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(WriteError::Stdout)
}

/// Whether the reader of standard output left before the end, as `head` does: that is its business and no trouble.
#[must_use]
pub fn has_no_reader(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(WriteError::Stdout(source)) if source.kind() == ErrorKind::BrokenPipe)
}
