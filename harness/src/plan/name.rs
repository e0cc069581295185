//! What a cgroup is called in a plan, and so in the samples, the limits and the kills of its run.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::id::{Id, UnitName};
use crate::scenario::expectation::RUN;

/// The id of a declared cgroup; `run`, the slice around the run; `run@SLICE`, the harness's own in a slice of the machine; or
/// a unit of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupName(String);

impl CgroupName {
    /// The slice around the run.
    pub(super) fn run() -> Self {
        Self(RUN.to_owned())
    }

    /// The harness's own slice in a slice of the machine.
    pub(super) fn in_slice(slice: &UnitName) -> Self {
        Self(format!("{RUN}@{slice}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a service of the machine, which may stop and be gone.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.0.parse::<UnitName>().is_ok_and(|unit| unit.unit_type() == "service")
    }
}

impl From<&Id> for CgroupName {
    fn from(id: &Id) -> Self {
        Self(id.to_string())
    }
}

impl From<&UnitName> for CgroupName {
    fn from(unit: &UnitName) -> Self {
        Self(unit.to_string())
    }
}

impl FromStr for CgroupName {
    type Err = Malformed;

    /// An id has no point in it, and every unit has one.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.contains('.') {
            text.parse::<UnitName>().map(|unit| Self::from(&unit))
        } else {
            text.parse::<Id>().map(|id| Self::from(&id))
        }
    }
}

impl TryFrom<String> for CgroupName {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<CgroupName> for String {
    fn from(name: CgroupName) -> Self {
        name.0
    }
}

impl Deref for CgroupName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CgroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("work", Some(false))]
    #[case("run", Some(false))]
    #[case("run@system.slice", Some(false))]
    #[case("system.slice", Some(false))]
    #[case("systemd-oomd.service", Some(true))]
    #[case("/bulkhead.slice/work", None)]
    #[case("", None)]
    fn a_cgroup_is_called_by_an_id_or_a_unit(#[case] text: &str, #[case] service: Option<bool>) {
        assert_eq!(text.parse::<CgroupName>().ok().map(|name| name.is_service()), service);
    }
}
