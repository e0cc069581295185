//! The notations of systemd and of the files that people write: sizes, spans, shares, limits, names ↔ typed values.

pub mod bytes;
pub mod id;
pub mod limit;
pub mod percent;
pub mod span;

pub use bytes::Bytes;
pub use id::{Id, UnitName};
pub use limit::Limit;
pub use percent::Percent;
pub use span::Span;
