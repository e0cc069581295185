//! The notations of systemd and of the files that people write: sizes, spans, shares, limits, names ↔ typed values.

pub mod bytes;
pub mod id;
pub mod limit;
pub mod percent;
pub mod signal;
pub mod span;
pub mod suggest;

pub use bytes::Bytes;
pub use id::{Id, UnitName};
pub use limit::Limit;
pub use percent::Percent;
pub use signal::Signal;
pub use span::Span;

/// Why a text is not a value of some type, as a lower-case sentence, and the text that was probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// What is wrong, naming the text.
    pub message: String,
    /// A text that would be right.
    pub suggestion: Option<String>,
}

impl Malformed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None }
    }

    pub(crate) fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}
