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

/// The memory limits of one cgroup. `None`: this kernel or this cgroup has no such file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// `memory.min`: protected from all reclaim.
    pub memory_min: Option<Limit>,
    /// `memory.low`: protected while others have something to give.
    pub memory_low: Option<Limit>,
    /// `memory.high`: above it tasks are throttled.
    pub memory_high: Option<Limit>,
    /// `memory.max`: at it the OOM killer runs.
    pub memory_max: Option<Limit>,
    /// `memory.swap.max`.
    pub memory_swap_max: Option<Limit>,
    /// `memory.oom.group`: whether a kill takes every process of the cgroup.
    pub oom_group: Option<bool>,
}

impl CgroupDir {
    /// Reads the limits in force. Opens files: not for the sampling loop.
    ///
    /// # Errors
    /// When the cgroup is gone, or a file cannot be read or holds neither a number nor `max`.
    pub fn read_limits(&self) -> Result<Limits, Error> {
        Ok(Limits {
            memory_min: self.limit(LimitFile::Min)?,
            memory_low: self.limit(LimitFile::Low)?,
            memory_high: self.limit(LimitFile::High)?,
            memory_max: self.limit(LimitFile::Max)?,
            memory_swap_max: self.limit(LimitFile::SwapMax)?,
            oom_group: self.text("memory.oom.group")?.map(|text| text.trim_ascii() == b"1"),
        })
    }

    fn limit(&self, file: LimitFile) -> Result<Option<Limit>, Error> {
        let file = file.name();
        let Some(text) = self.text(file)? else { return Ok(None) };
        match text.trim_ascii() {
            b"max" => Ok(Some(Limit::Max)),
            digits => match number(digits) {
                Some(bytes) => Ok(Some(Limit::Bytes(bytes))),
                None => Err(Error::Unexpected {
                    path: self.path().join(file),
                    text: String::from_utf8_lossy(digits).into_owned(),
                    expected: "number of bytes or `max`",
                }),
            },
        }
    }

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
