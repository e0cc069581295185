//! The actors of bulkhead: the *balloon*, which takes memory, and the *bystanders*, which live next to it and
//! say how they feel. Both report through a mapped [`status`] page that outlives them. This crate knows neither
//! scenarios nor cgroups: whoever starts an actor places it, verifies where it is, and then lets it go.
//!
//! An actor allocates nothing between its start and its release, ends with an exit code of [`Trouble`], and
//! leaves its last words in the page.

mod beat;
pub mod bystander;
pub mod clock;
mod crew;
mod futex;
pub mod inflate;
pub mod options;
mod order;
mod pages;
pub mod profile;
mod quantity;
mod recorder;
mod resident;
mod start;
pub mod status;
mod text;
mod trouble;
mod words;

pub use start::finish;
pub use trouble::Trouble;
