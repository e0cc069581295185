//! One started actor: its process, its status page, and where it was seen.

use std::sync::Arc;

use balloon::status::{Kind, Page, Phase};

use super::setup::entry::process::Process;
use crate::cgroupfs::CgroupPath;
use crate::plan::PlannedActor;

/// One started actor.
#[derive(Debug)]
pub(super) struct Actor<'a> {
    pub(super) planned: &'a PlannedActor,
    pub(super) page: Arc<Page>,
    pub(super) process: Process,
    /// Where it was seen; none until it was verified.
    pub(super) cgroup: Option<CgroupPath>,
    pub(super) released: bool,
    pub(super) ended: bool,
}

impl<'a> Actor<'a> {
    /// One that waits for its release.
    pub(super) fn waiting(planned: &'a PlannedActor, page: Arc<Page>, process: Process) -> Self {
        Self { planned, page, process, cgroup: None, released: false, ended: false }
    }

    pub(super) fn is_balloon(&self) -> bool {
        self.planned.total.is_some()
    }

    /// Whether it does what it is there for: a server listens, a heart beats.
    pub(super) fn works(&self) -> bool {
        let page = self.page.snapshot();
        let listens = page.kind() != Some(Kind::TcpServer) || page.port != 0;
        page.phase() >= Some(Phase::Climbing) && listens
    }
}
