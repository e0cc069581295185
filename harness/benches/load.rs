//! How busy the machine is, for the head of every table. It judges nothing.

use std::fmt;

/// How busy the machine is right now: every figure by the clock depends on it.
pub(crate) struct Load(String);

impl Load {
    /// The load averages of this moment, and the processors they share.
    pub(crate) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let averages: Vec<&str> = text.split(' ').take(3).collect();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        Self(format!("load {} (1, 5, 15 min) on {processors} processors", averages.join(", ")))
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
