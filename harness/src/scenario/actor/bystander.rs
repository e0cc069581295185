//! The bystanders' settings: innocent processes whose progress shows what the stress does to others.

use serde::{Deserialize, Serialize};

use super::{Settings, Takes};
use crate::notation::bytes::Bytes;
use crate::notation::span::Span;
use crate::reading::{FromTable, Table};
use crate::scenario::protect::Address;

/// Wakes up at a steady beat and records how late it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Time from beat to beat.
    pub every: Span,
    /// Memory allocated and touched at each beat; absent = the bystander's own small amount. A task that charges
    /// nothing feels nothing of its cgroup's throttling.
    pub touch: Option<Bytes>,
}

impl FromTable for Heartbeat {
    const LABEL: &'static str = "heartbeat";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let every = table.required("every", "time from beat to beat");
        let touch = table.optional("touch", "memory touched at each beat");
        Some(Self { every: every?, touch })
    }
}

impl Settings for Heartbeat {
    fn pause(&self) -> Option<(&'static str, Span)> {
        Some(("every", self.every))
    }

    fn takes(&self) -> Takes {
        Takes { bytes: self.touch.map_or(0, |bytes| bytes.0), ..Takes::default() }
    }
}

/// Accepts connections and answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpServer {
    /// Where it listens.
    pub listen: Address,
    /// Memory touched for each connection.
    pub touch: Option<Bytes>,
}

impl FromTable for TcpServer {
    const LABEL: &'static str = "tcp-server";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let listen = table.required("listen", "the address it listens on");
        let touch = table.optional("touch", "memory touched for each connection");
        Some(Self { listen: listen?, touch })
    }
}

impl Settings for TcpServer {
    fn takes(&self) -> Takes {
        Takes { bytes: self.touch.map_or(0, |bytes| bytes.0), ..Takes::default() }
    }
}

/// Keeps CPUs busy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spinner {
    /// Threads, 1 by default.
    pub threads: u32,
}

impl FromTable for Spinner {
    const LABEL: &'static str = "spinner";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let threads: Option<u32> = table.optional("threads", "threads, 1 by default");
        Some(Self { threads: threads.unwrap_or(1) })
    }
}

impl Settings for Spinner {
    fn takes(&self) -> Takes {
        Takes { threads: self.threads, ..Takes::default() }
    }
}

/// Writes and syncs a file of the harness's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The size of the file.
    pub bytes: Bytes,
    /// Time from one write to the next; at once when absent.
    pub every: Option<Span>,
}

impl FromTable for Writer {
    const LABEL: &'static str = "writer";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let bytes = table.required("bytes", "the size of the file");
        let every = table.optional("every", "time from one write to the next");
        Some(Self { bytes: bytes?, every })
    }
}

impl Settings for Writer {
    fn pause(&self) -> Option<(&'static str, Span)> {
        self.every.map(|every| ("every", every))
    }

    /// Its file is page cache of its cgroup.
    fn takes(&self) -> Takes {
        Takes { bytes: self.bytes.0, ..Takes::default() }
    }
}

/// Reads a file of the harness's own again and again through the page cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// The size of the file.
    pub bytes: Bytes,
    /// Time from one pass to the next; at once when absent.
    pub every: Option<Span>,
}

impl FromTable for Reader {
    const LABEL: &'static str = "reader";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let bytes = table.required("bytes", "the size of the file");
        let every = table.optional("every", "time from one pass to the next");
        Some(Self { bytes: bytes?, every })
    }
}

impl Settings for Reader {
    fn pause(&self) -> Option<(&'static str, Span)> {
        self.every.map(|every| ("every", every))
    }

    /// Its file is page cache of its cgroup.
    fn takes(&self) -> Takes {
        Takes { bytes: self.bytes.0, ..Takes::default() }
    }
}

/// Makes children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forker {
    /// How many.
    pub children: u32,
    /// Whether some fork twice and leave for process sessions of their own. They stay in the cgroup all the same.
    pub escape: bool,
    /// Time from one round to the next; one round only when absent.
    pub every: Option<Span>,
}

impl FromTable for Forker {
    const LABEL: &'static str = "forker";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let children = table.required("children", "how many children");
        let escape = table.optional("escape", "some children leave for sessions of their own");
        let every = table.optional("every", "time from one round to the next");
        Some(Self { children: children?, escape: escape.unwrap_or(false), every })
    }
}

impl Settings for Forker {
    fn pause(&self) -> Option<(&'static str, Span)> {
        self.every.map(|every| ("every", every))
    }

    fn takes(&self) -> Takes {
        Takes { processes: self.children, ..Takes::default() }
    }
}

/// Touches nothing after its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleeper {}

impl FromTable for Sleeper {
    const LABEL: &'static str = "sleeper";

    fn from_table(_: &mut Table<'_, '_>) -> Option<Self> {
        Some(Self {})
    }
}

impl Settings for Sleeper {}
