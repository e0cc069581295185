//! The names a scenario gives (scenarios, cgroups, actors, expectations, twins) and the units it refers to.
//!
//! Ids end up in unit names and file names, so the alphabet is small. Units are checked by systemd's own rules
//! (`VALID_CHARS` of `unit-name.c`); whether they exist is asked on the machine.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::notation::Malformed;

/// `[a-z0-9][a-z0-9-]*`, at most 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

/// The longest id, in bytes: the unit names built from a scenario's, a cgroup's and an actor's id stay far below
/// systemd's 255.
pub const MAX_ID: usize = 32;

impl FromStr for Id {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.starts_with('-') || !text.chars().all(safe) {
            let folded: String = text.to_ascii_lowercase().replace(['_', ' ', '.'], "-");
            let suggestion = Some(folded).filter(|folded| folded != text && folded.parse::<Self>().is_ok());
            return Err(Malformed::new(format!(
                "`{text}` cannot be part of a unit name: use a-z, 0-9 and -, beginning with a letter or digit"
            ))
            .suggest(suggestion));
        }
        if text.len() > MAX_ID {
            return Err(Malformed::new(format!("`{text}` is longer than {MAX_ID} bytes")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Id {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<Id> for String {
    fn from(name: Id) -> Self {
        name.0
    }
}

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Id {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Id {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A systemd unit that the scenario did not make, such as `ssh.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitName(String);

/// The types that a unit can have.
pub(crate) const UNIT_TYPES: [&str; 11] = [
    "service",
    "socket",
    "target",
    "device",
    "mount",
    "automount",
    "swap",
    "timer",
    "path",
    "slice",
    "scope",
];

impl UnitName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last point: `service`, `slice`, …
    #[must_use]
    pub fn unit_type(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, unit_type)| unit_type)
    }

    /// The name without its type.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(&*self.0, |(stem, _)| stem)
    }

    /// What stands between the first `@` and the type: `alice` of `server@alice.service`, nothing of a template.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance)
    }

    /// The template of an instance: `server@.service` of `server@alice.service`.
    #[must_use]
    pub fn template(&self) -> Option<Self> {
        let (prefix, instance) = self.stem().split_once('@')?;
        (!instance.is_empty()).then(|| Self(format!("{prefix}@.{}", self.unit_type())))
    }

    /// Whether it is a template, of which only instances run: `server@.service`.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.instance() == Some("")
    }
}

impl FromStr for UnitName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let refused = |why: &str| Malformed::new(format!("`{text}` is not a unit name: {why}"));
        let valid = |c: char| c.is_ascii_alphanumeric() || ":_.\\-@".contains(c);
        if let Some(odd) = text.chars().find(|c| !valid(*c)) {
            return Err(refused(&format!("systemd allows no `{}` in it", odd.escape_default())));
        }
        if text.len() > 255 {
            return Err(refused("it is longer than 255 bytes"));
        }
        match text.rsplit_once('.') {
            Some((stem, unit_type)) if !stem.is_empty() && UNIT_TYPES.contains(&unit_type) => {
                Ok(Self(text.to_owned()))
            }
            Some((stem, _)) if !stem.is_empty() => Err(refused("expected a type such as .service or .slice")),
            _ => {
                let suggestion = (!text.is_empty() && !text.contains('.')).then(|| format!("{text}.service"));
                Err(refused("expected a name with its type, such as ssh.service").suggest(suggestion))
            }
        }
    }
}

impl Borrow<str> for UnitName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.0
    }
}

impl Deref for UnitName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("hog", true, None)]
    #[case("0-a-9", true, None)]
    #[case("a2345678901234567890123456789012", true, None)]
    #[case("a23456789012345678901234567890123", false, None)]
    #[case("-a", false, None)]
    #[case("", false, None)]
    #[case("My_Hog", false, Some("my-hog"))]
    #[case("../etc", false, None)]
    #[case("hög", false, None)]
    fn an_id_is_safe_in_a_unit_name(
        #[case] text: &str,
        #[case] fine: bool,
        #[case] suggestion: Option<&str>,
    ) {
        let parsed = text.parse::<Id>();
        assert_eq!(parsed.is_ok(), fine, "{parsed:?}");
        assert_eq!(parsed.err().and_then(|refused| refused.suggestion).as_deref(), suggestion);
    }

    #[rstest]
    #[case("ssh.service", true, None)]
    #[case("user@1000.service", true, None)]
    #[case("a\\x2db.slice", true, None)]
    #[case("sshd", false, Some("sshd.service"))]
    #[case("ssh.conf", false, None)]
    #[case("../ssh.service", false, None)]
    #[case("a b.service", false, None)]
    #[case(".slice", false, None)]
    fn a_unit_name_follows_systemds_rules(
        #[case] text: &str,
        #[case] fine: bool,
        #[case] suggestion: Option<&str>,
    ) {
        let parsed = text.parse::<UnitName>();
        assert_eq!(parsed.is_ok(), fine, "{parsed:?}");
        assert_eq!(parsed.err().and_then(|refused| refused.suggestion).as_deref(), suggestion);
    }
}
