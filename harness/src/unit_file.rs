//! systemd's unit files as systemd reads them: files → a unit, with every assignment to its resource controls and which one wins.
//!
//! The files are given, nothing is opened, and no machine is asked: how much memory a share is and which version of systemd
//! reads the files is for the caller to know. What is not understood is said to be, never guessed.

pub mod astray;
pub mod directive;
pub mod files;
pub mod fragment;
mod slice;
pub mod syntax;
pub mod unit;
pub mod value;

pub use astray::{Astray, astray};
pub use directive::{DIRECTIVES, Directive};
pub use files::{Files, Manager, Node, UnitFile, unit_file};
pub use fragment::{Fragment, PassedOver};
pub use unit::{Assigned, Fate, Place, Unit, load, with_slices};
pub use value::Value;
