//! The limits in force on one cgroup, as the kernel holds them (which is not always what `systemctl show` says).

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{CgroupDir, Error};
use crate::kernfile::{KernFile, number};

/// A limit in bytes, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Limit {
    /// So many bytes; the kernel rounds down to whole pages.
    Bytes(u64),
    /// `max`: no limit. Greater than any number of bytes.
    Max,
}

impl Limit {
    /// The bytes; none for no limit.
    #[must_use]
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Max => None,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "{bytes}"),
            Self::Max => formatter.write_str("max"),
        }
    }
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        match text {
            "max" => Ok(Self::Max),
            digits => number(digits.as_bytes()).map(Self::Bytes).ok_or_else(|| InvalidLimit(text.to_owned())),
        }
    }
}

/// Text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a limit: expected a number of bytes or `max`")]
pub struct InvalidLimit(String);

impl TryFrom<String> for Limit {
    type Error = InvalidLimit;

    fn try_from(text: String) -> Result<Self, InvalidLimit> {
        text.parse()
    }
}

impl From<Limit> for String {
    fn from(limit: Limit) -> Self {
        limit.to_string()
    }
}

/// A file of a cgroup that holds a memory limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LimitFile {
    /// Protected from all reclaim.
    #[serde(rename = "memory.min")]
    Min,
    /// Protected while others have something to give.
    #[serde(rename = "memory.low")]
    Low,
    /// Above it tasks are throttled.
    #[serde(rename = "memory.high")]
    High,
    /// At it the OOM killer runs.
    #[serde(rename = "memory.max")]
    Max,
    /// Of swap.
    #[serde(rename = "memory.swap.max")]
    SwapMax,
}

impl LimitFile {
    /// The file's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Min => "memory.min",
            Self::Low => "memory.low",
            Self::High => "memory.high",
            Self::Max => "memory.max",
            Self::SwapMax => "memory.swap.max",
        }
    }
}

impl CgroupDir {
    /// The whole text of a file of this cgroup; `None` when there is no such file in a cgroup that still exists.
    pub(super) fn text(&self, file: &'static str) -> Result<Option<Vec<u8>>, Error> {
        let open = KernFile::open_at(self.fd(), file).map_err(|source| self.failed("open", file, source))?;
        let Some(open) = open else {
            return if self.is_gone() { Err(Error::Gone { path: self.path().to_owned() }) } else { Ok(None) };
        };
        // Grown as needed: cgroup.procs of a large cgroup is longer than any of the other files.
        let mut buffer = vec![0; crate::kernfile::BUFFER];
        loop {
            let length = open
                .read_all(&mut buffer)
                .map_err(|errno| self.failed("read", file, io::Error::from(errno)))?
                .len();
            if length < buffer.len() {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
            buffer.resize(buffer.len() * 2, 0);
        }
    }
}
