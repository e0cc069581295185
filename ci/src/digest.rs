//! Bytes → a 64-bit FNV-1a digest, for cache keys and for noticing a damaged transfer.
//!
//! It deliberately does not defend against somebody who wants a collision: both ends are ours.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A running digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Digest {
    /// The digest of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(OFFSET)
    }

    /// Adds bytes; how they are cut into calls makes no difference.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    }

    /// Adds one field of a key: unlike [`update`](Self::update), ("ab", "c") and ("a", "bc") differ.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.update(&(bytes.len() as u64).to_le_bytes());
        self.update(bytes);
        self
    }

    /// Adds fields one by one.
    #[must_use]
    pub fn fields<T: AsRef<[u8]>>(self, fields: impl IntoIterator<Item = T>) -> Self {
        fields.into_iter().fold(self, Self::field)
    }

    /// Adds a whole file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn file(mut self, path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(self),
                n => self.update(&buffer[..n]),
            }
        }
    }

    /// The digest as a number, as it goes over the wire.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fnv_1a() {
        let mut digest = Digest::new();
        digest.update(b"foo");
        digest.update(b"bar");
        assert_eq!(digest.to_string(), "85944171f73967e8");
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(Digest::new().field("ab").field("c"), Digest::new().field("a").field("bc"));
    }
}
