//! `MemoryMax = "512M"` → a typed systemd resource property, and its D-Bus name and value.
//!
//! The set is closed: a property that is not listed here is refused, with the nearest name. Names are systemd's own;
//! the D-Bus encodings are those of `src/core/dbus-cgroup.c`. Nothing here talks to systemd.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::bytes::Bytes;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::notation::span::Span;
use crate::reading::rule::MALFORMED_VALUE;
use crate::reading::{Node, Reader, Value, Word, parse_word};

mod tasks;
mod value;

pub use tasks::Tasks;
pub use value::{DbusValue, ManagedOom, OomPolicy, Preference, PropertyValue};

/// The unit type behind a declared cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// A slice: only groups others; it outlives what runs in it.
    #[default]
    Slice,
    /// A scope: processes that the harness started and attached.
    Scope,
    /// A service: processes that PID 1 starts.
    Service,
}

impl Word for UnitKind {
    const EXPECTING: &'static str = "a unit type";
    const WORDS: &'static [(&'static str, Self)] =
        &[("slice", Self::Slice), ("scope", Self::Scope), ("service", Self::Service)];
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slice => "slice",
            Self::Scope => "scope",
            Self::Service => "service",
        })
    }
}

/// A property's name, spelt as systemd spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the systemd property of that name; see systemd.resource-control(5)")]
pub enum PropertyName {
    MemoryMin,
    MemoryLow,
    MemoryHigh,
    MemoryMax,
    MemorySwapMax,
    MemoryZSwapMax,
    CPUWeight,
    CPUQuota,
    IOWeight,
    TasksMax,
    OOMPolicy,
    ManagedOOMSwap,
    ManagedOOMMemoryPressure,
    ManagedOOMMemoryPressureLimit,
    ManagedOOMMemoryPressureDurationSec,
    ManagedOOMPreference,
}

/// What kind of value a property takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A size that may be 0.
    Size,
    /// A size that systemd refuses to be 0 (`MemoryMax=0`: "Value specified in MemoryMax is out of range").
    PositiveSize,
    /// 1 to 10000.
    Weight,
    /// A percentage of one CPU.
    Quota,
    /// A number of tasks, a share of the system's, or `infinity`.
    Tasks,
    /// `continue`, `stop` or `kill`.
    OomPolicy,
    /// `auto` or `kill`.
    ManagedOom,
    /// A share between 0 % and 100 %.
    Percent,
    /// A time span.
    Span,
    /// `none`, `avoid` or `omit`.
    Preference,
}

/// What is known about a property.
#[derive(Debug, Clone, Copy)]
pub struct PropertyInfo {
    /// systemd's name in unit files.
    pub text: &'static str,
    /// The kind of value.
    pub kind: ValueKind,
    /// The first systemd version that has it on slices and services.
    pub since: u32,
    /// The D-Bus property (for a share of memory or tasks: with `Scale` at the end).
    pub dbus: &'static str,
    /// The D-Bus type (for a share: `u`).
    pub signature: &'static str,
    /// One sentence for `bulkhead explain` and editors.
    pub about: &'static str,
}

impl PropertyName {
    /// Every property, in the order in which they are documented.
    pub const ALL: [Self; 16] = [
        Self::MemoryMin,
        Self::MemoryLow,
        Self::MemoryHigh,
        Self::MemoryMax,
        Self::MemorySwapMax,
        Self::MemoryZSwapMax,
        Self::CPUWeight,
        Self::CPUQuota,
        Self::IOWeight,
        Self::TasksMax,
        Self::OOMPolicy,
        Self::ManagedOOMSwap,
        Self::ManagedOOMMemoryPressure,
        Self::ManagedOOMMemoryPressureLimit,
        Self::ManagedOOMMemoryPressureDurationSec,
        Self::ManagedOOMPreference,
    ];

    /// The property of that exact name.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.info().text == text)
    }

    /// Name, kind, version, D-Bus encoding and explanation.
    #[must_use]
    pub const fn info(self) -> PropertyInfo {
        use ValueKind as K;
        match self {
            Self::MemoryMin => {
                info("MemoryMin", K::Size, 240, "memory that is never reclaimed; capped by every ancestor")
            }
            Self::MemoryLow => {
                info("MemoryLow", K::Size, 231, "memory that is reclaimed last; capped by every ancestor")
            }
            Self::MemoryHigh => info(
                "MemoryHigh",
                K::PositiveSize,
                231,
                "above it whoever charges memory is throttled; nothing is killed",
            ),
            Self::MemoryMax => info(
                "MemoryMax",
                K::PositiveSize,
                231,
                "the hard cap: the kernel kills inside the cgroup when reclaim fails",
            ),
            Self::MemorySwapMax => info(
                "MemorySwapMax",
                K::Size,
                232,
                "swap the cgroup may use; set it before start, lowering it pulls nothing back",
            ),
            Self::MemoryZSwapMax => {
                info("MemoryZSwapMax", K::Size, 253, "compressed swap the cgroup may use")
            }
            Self::CPUWeight => {
                info("CPUWeight", K::Weight, 232, "share of the CPU among contending siblings")
            }
            Self::CPUQuota => PropertyInfo {
                dbus: "CPUQuotaPerSecUSec",
                ..info("CPUQuota", K::Quota, 213, "at most this share of one CPU's time; may exceed 100%")
            },
            Self::IOWeight => {
                info("IOWeight", K::Weight, 230, "share of the disk; without BFQ or iocost it does nothing")
            }
            Self::TasksMax => info("TasksMax", K::Tasks, 227, "tasks the cgroup may hold"),
            Self::OOMPolicy => text(
                "OOMPolicy",
                K::OomPolicy,
                243,
                "what systemd does with the unit after an OOM kill inside it",
            ),
            Self::ManagedOOMSwap => text(
                "ManagedOOMSwap",
                K::ManagedOom,
                247,
                "whether systemd-oomd acts here when swap runs out",
            ),
            Self::ManagedOOMMemoryPressure => text(
                "ManagedOOMMemoryPressure",
                K::ManagedOom,
                247,
                "whether systemd-oomd acts here on memory pressure",
            ),
            Self::ManagedOOMMemoryPressureLimit => PropertyInfo {
                signature: "u",
                ..info(
                    "ManagedOOMMemoryPressureLimit",
                    K::Percent,
                    247,
                    "the pressure from which systemd-oomd acts",
                )
            },
            Self::ManagedOOMMemoryPressureDurationSec => PropertyInfo {
                dbus: "ManagedOOMMemoryPressureDurationUSec",
                ..info(
                    "ManagedOOMMemoryPressureDurationSec",
                    K::Span,
                    257,
                    "how long the pressure must last; at least 1s",
                )
            },
            Self::ManagedOOMPreference => {
                text("ManagedOOMPreference", K::Preference, 248, "whether systemd-oomd spares the cgroup")
            }
        }
    }

    /// The first systemd version in which a unit of that type takes the property; `None` when it never does.
    #[must_use]
    pub const fn since(self, unit: UnitKind) -> Option<u32> {
        match (self, unit) {
            (Self::OOMPolicy, UnitKind::Slice) => None,
            // 252.5 has it too, by a backport; the number alone does not tell 252.4 from 252.5.
            (Self::OOMPolicy, UnitKind::Scope) => Some(253),
            _ => Some(self.info().since),
        }
    }
}

const fn info(text: &'static str, kind: ValueKind, since: u32, about: &'static str) -> PropertyInfo {
    PropertyInfo { text, kind, since, dbus: text, signature: "t", about }
}

const fn text(text: &'static str, kind: ValueKind, since: u32, about: &'static str) -> PropertyInfo {
    PropertyInfo { text, kind, since, dbus: text, signature: "s", about }
}

impl fmt::Display for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().text)
    }
}

/// A property with its value. `Display` is the assignment as `systemd-run -p` takes it: `MemoryMax=512M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// Which property.
    pub name: PropertyName,
    /// Its value; always of the kind that the name takes.
    pub value: PropertyValue,
}

impl Property {
    /// Reads the text of a value, as it stands in a unit file.
    ///
    /// # Errors
    /// When systemd would refuse the text for this property.
    pub fn parse(name: PropertyName, text: &str) -> Result<Self, Malformed> {
        let value = match name.info().kind {
            ValueKind::Size => PropertyValue::Size(text.parse()?),
            ValueKind::PositiveSize => match text.parse()? {
                Limit::Bytes(Bytes(0)) | Limit::Percent(Percent(0)) => {
                    return Err(Malformed::new(format!("systemd refuses {name}={text}: it must be above 0")));
                }
                limit => PropertyValue::Size(limit),
            },
            ValueKind::Weight => PropertyValue::Weight(weight(text)?),
            ValueKind::Quota => PropertyValue::Quota(positive(name, text)?),
            ValueKind::Tasks => PropertyValue::Tasks(text.parse()?),
            ValueKind::OomPolicy => PropertyValue::OomPolicy(parse_word(text)?),
            ValueKind::ManagedOom => PropertyValue::ManagedOom(parse_word(text)?),
            ValueKind::Percent => match text.parse()? {
                share if share > Percent::HUNDRED => {
                    return Err(Malformed::new(format!("{name}={text}: it is at most 100%")));
                }
                share => PropertyValue::Percent(share),
            },
            ValueKind::Span => match text.parse()? {
                // systemd 257 takes 0 (the default) or at least a second.
                Span(1..1_000_000) => {
                    return Err(Malformed::new(format!("{name}={text}: systemd takes 0 or at least 1s")));
                }
                span => PropertyValue::Span(span),
            },
            ValueKind::Preference => PropertyValue::Preference(parse_word(text)?),
        };
        Ok(Self { name, value })
    }

    /// The D-Bus property name and value for `StartTransientUnit` and `SetUnitProperties`.
    #[must_use]
    pub fn dbus(&self) -> (String, DbusValue) {
        let name = self.name.info().dbus;
        if let Some(share) = self.value.scale() {
            return (format!("{name}Scale"), DbusValue::U32(share));
        }
        (name.to_owned(), self.value.dbus())
    }

    /// The size, for the properties that are one.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        match self.value {
            PropertyValue::Size(limit) => Some(limit),
            _ => None,
        }
    }

    /// Reads the value of a property from the file.
    pub(super) fn read(name: PropertyName, node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let number =
            |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.to_owned());
        let text = match node.get_ref() {
            toml::de::DeValue::String(text) => Some(text.to_string()),
            toml::de::DeValue::Integer(value) if value.radix() == 10 => number(value.as_str()),
            _ => None,
        };
        let Some(text) = text else {
            reader.wrong_type(node, &format!("a value for {name}, as in a unit file"));
            return None;
        };
        reader.accept(MALFORMED_VALUE, Self::parse(name, &text), node.span())
    }

    /// The JSON Schema of the values that `name` takes.
    pub(super) fn schema(name: PropertyName, generator: &mut SchemaGenerator) -> Schema {
        match name.info().kind {
            ValueKind::Size | ValueKind::PositiveSize => generator.subschema_for::<Limit>(),
            ValueKind::Weight => {
                json_schema!({ "type": ["integer", "string"], "minimum": 1, "maximum": 10_000, "pattern": "^[0-9]+$" })
            }
            ValueKind::Quota | ValueKind::Percent => generator.subschema_for::<Percent>(),
            ValueKind::Tasks => generator.subschema_for::<Tasks>(),
            ValueKind::OomPolicy => OomPolicy::schema(generator),
            ValueKind::ManagedOom => ManagedOom::schema(generator),
            ValueKind::Span => generator.subschema_for::<Span>(),
            ValueKind::Preference => Preference::schema(generator),
        }
    }
}

fn weight(text: &str) -> Result<u16, Malformed> {
    let weight = text.trim().parse().ok().filter(|weight| (1..=10_000).contains(weight));
    weight
        .ok_or_else(|| Malformed::new(format!("`{text}` is not a weight: expected a number from 1 to 10000")))
}

fn positive(name: PropertyName, text: &str) -> Result<Percent, Malformed> {
    match text.parse()? {
        Percent(0) => Err(Malformed::new(format!("systemd refuses {name}={text}: it must be above 0"))),
        share => Ok(share),
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn property(name: &str, text: &str) -> Result<Property, Malformed> {
        Property::parse(PropertyName::from_text(name).unwrap(), text)
    }

    #[rstest]
    #[case("MemoryMax", "512M", "MemoryMax", DbusValue::U64(512 << 20))]
    #[case("MemorySwapMax", "0", "MemorySwapMax", DbusValue::U64(0))]
    #[case("MemoryMax", "infinity", "MemoryMax", DbusValue::U64(u64::MAX))]
    #[case("MemoryHigh", "50%", "MemoryHighScale", DbusValue::U32(2_147_483_648))]
    #[case("CPUQuota", "50%", "CPUQuotaPerSecUSec", DbusValue::U64(500_000))]
    #[case("CPUQuota", "150%", "CPUQuotaPerSecUSec", DbusValue::U64(1_500_000))]
    #[case("CPUWeight", "300", "CPUWeight", DbusValue::U64(300))]
    #[case("TasksMax", "64", "TasksMax", DbusValue::U64(64))]
    #[case("TasksMax", "100%", "TasksMaxScale", DbusValue::U32(u32::MAX))]
    #[case("OOMPolicy", "continue", "OOMPolicy", DbusValue::Text("continue"))]
    #[case("ManagedOOMSwap", "kill", "ManagedOOMSwap", DbusValue::Text("kill"))]
    #[case(
        "ManagedOOMMemoryPressureLimit",
        "50%",
        "ManagedOOMMemoryPressureLimit",
        DbusValue::U32(2_147_483_648)
    )]
    #[case(
        "ManagedOOMMemoryPressureDurationSec",
        "2s",
        "ManagedOOMMemoryPressureDurationUSec",
        DbusValue::U64(2_000_000)
    )]
    #[case("ManagedOOMPreference", "omit", "ManagedOOMPreference", DbusValue::Text("omit"))]
    fn a_property_becomes_what_systemd_takes_on_the_bus(
        #[case] name: &str,
        #[case] text: &str,
        #[case] dbus: &str,
        #[case] value: DbusValue,
    ) {
        assert_eq!(property(name, text).unwrap().dbus(), (dbus.to_owned(), value));
    }

    #[rstest]
    #[case("MemoryMax", "0")]
    #[case("MemoryHigh", "0%")]
    #[case("CPUWeight", "0")]
    #[case("CPUWeight", "10001")]
    #[case("CPUQuota", "0%")]
    #[case("OOMPolicy", "restart")]
    #[case("ManagedOOMMemoryPressureLimit", "120%")]
    #[case("ManagedOOMMemoryPressureDurationSec", "500ms")]
    #[case("TasksMax", "-1")]
    fn what_systemd_would_refuse_is_refused(#[case] name: &str, #[case] text: &str) {
        assert!(property(name, text).is_err());
    }

    #[test]
    fn a_slice_has_no_oom_policy_and_a_scope_only_from_253() {
        assert_eq!(PropertyName::OOMPolicy.since(UnitKind::Slice), None);
        assert_eq!(PropertyName::OOMPolicy.since(UnitKind::Scope), Some(253));
        assert_eq!(PropertyName::OOMPolicy.since(UnitKind::Service), Some(243));
    }

    #[test]
    fn the_serialised_name_is_systemds() {
        for name in PropertyName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.info().text);
            assert_eq!(PropertyName::from_text(name.info().text), Some(name));
        }
    }

    #[test]
    fn the_type_on_the_bus_is_the_declared_one() {
        let samples = ["512M", "100", "50%", "continue", "kill", "avoid", "2s"];
        for name in PropertyName::ALL {
            let property = samples.iter().find_map(|text| Property::parse(name, text).ok()).unwrap();
            let (dbus, value) = property.dbus();
            if !dbus.ends_with("Scale") {
                assert_eq!(value.signature(), name.info().signature, "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_value_shown_reads_back(index in 0_usize..16, number in 1_u64..10_000, percent: bool) {
            let name = PropertyName::ALL[index];
            let text = if percent { format!("{}%", number % 100 + 1) } else { number.to_string() };
            if let Ok(property) = Property::parse(name, &text) {
                prop_assert_eq!(Property::parse(name, &property.value.to_string()), Ok(property));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(index in 0_usize..16, text in "\\PC{0,16}") {
            let _ = Property::parse(PropertyName::ALL[index], &text);
        }
    }
}
