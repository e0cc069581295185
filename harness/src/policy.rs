//! A policy directory → [`Directory`]: what is meant to contain a machine, as its team wrote it, and the files it installs.
//!
//! Reading is as strict as for scenarios and asks nothing of a machine: whether a unit exists there, which limit wins and
//! where an entrance leads is read back in the guest.

use std::path::Path;

use chrono::NaiveDate;

pub mod known;
pub mod machine;
pub mod root;
pub mod scale;
pub mod sizes;
pub mod tree;

mod check;
mod file;
mod load;
mod rules;
mod schema;

use crate::notation::UnitName;
use crate::reading::diagnostic::{Invalid, Source};
use crate::scenario::Protect;

pub use check::check;
pub use known::{Known, KnownCase};
pub use load::{Directory, FILE, LoadError, ROOT, is_policy, policies_below};
pub use machine::{Backstop, Machine, Units, User, UserName};
pub use root::{Entry, Root};
pub use rules::rules;
pub use schema::schema;
pub use tree::{Entrance, Place, Tree};

/// The version of the file format that this program reads.
pub const SCHEMA: u32 = 1;

/// What `policy.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The file: its name in messages, its text, and where in it each value stands.
    pub file: Source,
    /// The version of the file format.
    pub schema: u32,
    /// The policy in one sentence.
    pub title: String,
    /// Where it comes from: a machine and a date, a repository.
    pub source: String,
    /// The machine it is written for.
    pub machine: Machine,
    /// The people (or programs) that log in, in file order.
    pub users: Vec<User>,
    /// What it promises to contain, in file order.
    pub trees: Vec<Tree>,
    /// What must stay well, whatever the trees do.
    pub protect: Protect,
    /// What acts when the caps do not.
    pub backstop: Backstop,
    /// Units that need something done before the boot.
    pub units: Units,
    /// A command of the policy's own, run once in the guest after `root/` is copied; empty for none. A first word with a
    /// slash that is not absolute is a file of the policy directory.
    pub install: Vec<String>,
    /// Cases that are known to fail, in file order.
    pub known: Vec<Known>,
}

impl Policy {
    /// Reads `text` as the policy file `path`, which is named in messages and not opened.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in file order.
    pub fn parse(path: &str, text: &str) -> Result<Self, Invalid> {
        file::parse(path, text)
    }

    /// The tree of that name.
    #[must_use]
    pub fn tree(&self, id: &str) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.id == *id)
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| *user.name == *name)
    }

    /// The known failure of a case, unless it has expired before `today`.
    #[must_use]
    pub fn known(&self, case: &KnownCase, today: NaiveDate) -> Option<&Known> {
        self.known.iter().find(|known| known.case == *case && known.holds_on(today))
    }
}

impl Directory {
    /// Reads the policy directory at `path`: `policy.toml`, `root/`, and with `install` what lies beside them.
    ///
    /// # Errors
    /// When something cannot be read, or with everything in it that is wrong or unsafe to install.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        load::load(path)
    }
}

/// The slice in which the logins of a user run: `user-1001.slice`.
#[must_use]
pub fn user_slice(uid: u32) -> Option<UnitName> {
    format!("user-{uid}.slice").parse().ok()
}
