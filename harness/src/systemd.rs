//! PID 1: units are started, stopped, killed and read back over D-Bus.
//!
//! The run stage knows only the trait [`Manager`], implemented by [`Bus`] on a real machine and by `Fake` in unit tests.
//! Every call has a deadline, and a start or stop returns only when systemd's own job has ended with `done`: the reply to
//! the call itself comes when the job is queued. Nothing here decides which limits are right.
//!
//! Source: `org.freedesktop.systemd1(5)`; property names are systemd's.

mod bus;
#[cfg(test)]
mod fake;
mod jobs;
mod manager;
mod property;
mod proxy;
mod renew;
mod unit;

pub use bus::Bus;
#[cfg(test)]
pub use fake::{Call, Cgroups, Fake};
pub use manager::{Error, Manager};
pub use property::Value;
pub use unit::{NOT_FOUND, Unit, UnitStatus};
