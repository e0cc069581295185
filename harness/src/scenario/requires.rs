//! `[requires]`: what the machine must have. Unmet means `skipped`, with the reason; nothing is asked of the machine here.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::bytes::Bytes;
use crate::notation::id::UnitName;
use crate::reading::{FromTable, Scalar, Table, value};

/// What a scenario needs. An absent part is not required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requires {
    /// `MemTotal` at least.
    pub memory: Option<Bytes>,
    /// Swap, or its absence.
    pub swap: Option<SwapNeed>,
    /// Bytes a second to which the swap device must be throttled.
    pub swap_rate: Option<Bytes>,
    /// The kernel's version at least.
    pub kernel: Option<KernelVersion>,
    /// systemd's version at least.
    pub systemd: Option<u32>,
    /// CPUs at least.
    pub cpus: Option<u32>,
    /// Units that must be there and active; a throwaway machine starts them.
    pub units: Vec<UnitName>,
}

impl Requires {
    /// These requirements with a twin's on top: what the twin names wins, units add up.
    #[must_use]
    pub fn merged(&self, twin: &Self) -> Self {
        let mut units = self.units.clone();
        units.extend(twin.units.iter().filter(|unit| !self.units.contains(unit)).cloned());
        Self {
            memory: twin.memory.or(self.memory),
            swap: twin.swap.or(self.swap),
            // A twin without swap has nothing to throttle.
            swap_rate: twin.swap_rate.or(self.swap_rate.filter(|_| twin.swap != Some(SwapNeed::None))),
            kernel: twin.kernel.or(self.kernel),
            systemd: twin.systemd.or(self.systemd),
            cpus: twin.cpus.or(self.cpus),
            units,
        }
    }
}

impl FromTable for Requires {
    const LABEL: &'static str = "[requires]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        Some(Self {
            memory: table.optional("memory", "the machine's memory, at least"),
            swap: table.optional("swap", "the machine's swap, at least; or \"none\""),
            swap_rate: table.optional("swap-rate", "bytes a second to which the swap device is throttled"),
            kernel: table.optional("kernel", "the kernel's version, at least: \"6.5\""),
            systemd: table.optional("systemd", "systemd's version, at least: 253"),
            cpus: table.optional("cpus", "CPUs, at least"),
            units: table.optional("units", "units that must be present and active").unwrap_or_default(),
        })
    }
}

value!(table Requires);

/// What is asked of the machine's swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwapNeed {
    /// So much, at least.
    AtLeast(Bytes),
    /// No swap at all.
    None,
}

impl FromStr for SwapNeed {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.trim() {
            "none" => Ok(Self::None),
            "0" => Err(Malformed::new("`0` says nothing: every machine has at least that much swap")
                .suggest(Some("none".to_owned()))),
            text => text.parse().map(Self::AtLeast),
        }
    }
}

impl fmt::Display for SwapNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bytes) => bytes.fmt(f),
            Self::None => f.write_str("none"),
        }
    }
}

impl JsonSchema for SwapNeed {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SwapNeed".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^(none|[0-9]+(\\.[0-9]+)?[BKMGTPE]?)$",
            "minimum": 1,
            "description": "swap at least, such as 256M; or \"none\" for a machine without any",
        })
    }
}

impl Scalar for SwapNeed {
    const EXPECTING: &'static str = "a size such as \"256M\", or \"none\"";

    fn number(digits: &str) -> Option<String> {
        Bytes::number(digits)
    }
}

value!(scalar SwapNeed);

/// A kernel version without its patch level; ordered as versions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KernelVersion {
    /// 6 in 6.12.
    pub major: u16,
    /// 12 in 6.12.
    pub minor: u16,
}

impl FromStr for KernelVersion {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let refused = || Malformed::new(format!("`{text}` is not a kernel version: expected \"6.5\""));
        let (major, minor) = text.trim().split_once('.').ok_or_else(refused)?;
        let number = |part: &str| {
            part.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| part.parse().ok())
                .flatten()
                .ok_or_else(refused)
        };
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl JsonSchema for KernelVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KernelVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+\\.[0-9]+$", "description": "a kernel version: \"6.5\"" })
    }
}

/// A TOML number is refused: 6.10 would be 6.1.
impl Scalar for KernelVersion {
    const EXPECTING: &'static str = "a kernel version in quotes, such as \"6.5\"";
}

value!(scalar KernelVersion);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_kernel_version_is_ordered_as_a_version() {
        let version = |text: &str| text.parse::<KernelVersion>().unwrap();
        assert!(version("6.5") < version("6.12"));
        assert!(version("5.15") < version("6.1"));
    }

    #[rstest]
    #[case("6")]
    #[case("6.x")]
    #[case("6.")]
    #[case("6.1.2")]
    #[case("+6.1")]
    fn what_is_no_kernel_version_is_refused(#[case] text: &str) {
        assert!(text.parse::<KernelVersion>().is_err());
    }

    #[rstest]
    #[case("none", Some(SwapNeed::None))]
    #[case("256M", Some(SwapNeed::AtLeast(Bytes(256 << 20))))]
    #[case("0", None)]
    #[case("some", None)]
    fn swap_is_a_size_or_none(#[case] text: &str, #[case] need: Option<SwapNeed>) {
        assert_eq!(text.parse().ok(), need);
        assert!(need.is_none_or(|need| need.to_string() == text));
    }

    #[test]
    fn a_twins_requirements_win_and_its_units_add_up() {
        let unit = |name: &str| name.parse::<UnitName>().unwrap();
        let base = Requires {
            memory: Some(Bytes(1)),
            cpus: Some(2),
            units: vec![unit("a.service")],
            ..Requires::default()
        };
        let twin = Requires {
            memory: Some(Bytes(3)),
            units: vec![unit("a.service"), unit("b.service")],
            ..Requires::default()
        };
        let merged = base.merged(&twin);
        assert_eq!((merged.memory, merged.cpus), (Some(Bytes(3)), Some(2)));
        assert_eq!(merged.units, [unit("a.service"), unit("b.service")]);
    }
}
