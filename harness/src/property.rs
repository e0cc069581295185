//! A unit's property, typed: `MemoryMax=512M` ↔ its name, spelt as in a unit file, and its value.
//!
//! The set is closed: those that a scenario may set, and those that the harness puts on units of its own. How one travels
//! over D-Bus is known to `systemd` alone.

use std::fmt;
use std::str::FromStr;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::cgroupfs::{self, LimitFile};
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
pub use value::{ManagedOom, OomPolicy, Preference, PropertyValue};

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
    RuntimeMaxSec,
    TimeoutStopSec,
    OOMScoreAdjust,
    Description,
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
    /// A time span of 0 or at least a second.
    PressureSpan,
    /// A time span.
    Span,
    /// From -1000 to 1000.
    OomScore,
    /// Anything.
    Text,
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
    /// One sentence for `bulkhead explain` and editors.
    pub about: &'static str,
}

impl PropertyName {
    /// Every property that a scenario may set, in the order in which they are documented.
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

    /// What the harness alone sets.
    const OWN: [Self; 4] =
        [Self::RuntimeMaxSec, Self::TimeoutStopSec, Self::OOMScoreAdjust, Self::Description];

    /// The property of that exact name that a scenario may set.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.info().text == text)
    }

    /// Name, kind, version and explanation.
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
                "tasks that charge memory above it are throttled; nothing is killed",
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
                "swap the cgroup may use; set it before start: lowering it swaps nothing back in",
            ),
            Self::MemoryZSwapMax => {
                info("MemoryZSwapMax", K::Size, 253, "compressed swap the cgroup may use")
            }
            Self::CPUWeight => {
                info("CPUWeight", K::Weight, 232, "share of the CPU among contending siblings")
            }
            Self::CPUQuota => {
                info("CPUQuota", K::Quota, 213, "at most this share of one CPU's time; may exceed 100%")
            }
            Self::IOWeight => {
                info("IOWeight", K::Weight, 230, "share of the disk; without BFQ or iocost it does nothing")
            }
            Self::TasksMax => info("TasksMax", K::Tasks, 227, "tasks the cgroup may hold"),
            Self::OOMPolicy => info(
                "OOMPolicy",
                K::OomPolicy,
                243,
                "what systemd does with the unit after an OOM kill inside it",
            ),
            Self::ManagedOOMSwap => info(
                "ManagedOOMSwap",
                K::ManagedOom,
                247,
                "whether systemd-oomd acts here when swap runs out",
            ),
            Self::ManagedOOMMemoryPressure => info(
                "ManagedOOMMemoryPressure",
                K::ManagedOom,
                247,
                "whether systemd-oomd acts here on memory pressure",
            ),
            Self::ManagedOOMMemoryPressureLimit => info(
                "ManagedOOMMemoryPressureLimit",
                K::Percent,
                247,
                "the pressure above which systemd-oomd acts",
            ),
            Self::ManagedOOMMemoryPressureDurationSec => info(
                "ManagedOOMMemoryPressureDurationSec",
                K::PressureSpan,
                257,
                "how long the pressure must last; at least 1s",
            ),
            Self::ManagedOOMPreference => {
                info("ManagedOOMPreference", K::Preference, 248, "whether systemd-oomd spares the cgroup")
            }
            Self::RuntimeMaxSec => info("RuntimeMaxSec", K::Span, 244, "PID 1 ends the unit after this time"),
            Self::TimeoutStopSec => {
                info("TimeoutStopSec", K::Span, 188, "how long PID 1 waits between SIGTERM and SIGKILL")
            }
            Self::OOMScoreAdjust => {
                info("OOMScoreAdjust", K::OomScore, 187, "the oom_score_adj of what PID 1 starts")
            }
            Self::Description => info("Description", K::Text, 187, "human-readable name of the unit"),
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
    PropertyInfo { text, kind, since, about }
}

impl fmt::Display for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().text)
    }
}

/// A property with its value. Its text is the assignment as `systemd-run -p` takes it: `MemoryMax=512M`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
            ValueKind::PressureSpan => match text.parse()? {
                // systemd 257 takes 0 (the default) or at least a second.
                Span(1..1_000_000) => {
                    return Err(Malformed::new(format!("{name}={text}: systemd takes 0 or at least 1s")));
                }
                span => PropertyValue::Span(span),
            },
            ValueKind::Span => PropertyValue::Span(text.parse()?),
            ValueKind::Preference => PropertyValue::Preference(parse_word(text)?),
            ValueKind::OomScore => PropertyValue::OomScore(oom_score(text)?),
            ValueKind::Text => PropertyValue::Text(text.to_owned()),
        };
        Ok(Self { name, value })
    }

    /// A memory property of so many bytes.
    #[must_use]
    pub const fn bytes(name: PropertyName, bytes: u64) -> Self {
        Self { name, value: PropertyValue::Size(Limit::Bytes(Bytes(bytes))) }
    }

    /// A property that is a time.
    #[must_use]
    pub const fn span(name: PropertyName, span: Span) -> Self {
        Self { name, value: PropertyValue::Span(span) }
    }

    /// The size, for the properties that are one.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        match self.value {
            PropertyValue::Size(limit) => Some(limit),
            _ => None,
        }
    }

    /// What the kernel holds of it once systemd has set it on a machine with so much memory: the file of the cgroup, and the
    /// limit in it. The kernel keeps whole pages.
    #[must_use]
    pub fn held(&self, memory: Bytes) -> Option<(LimitFile, cgroupfs::Limit)> {
        let file = match self.name {
            PropertyName::MemoryMin => LimitFile::Min,
            PropertyName::MemoryLow => LimitFile::Low,
            PropertyName::MemoryHigh => LimitFile::High,
            PropertyName::MemoryMax => LimitFile::Max,
            PropertyName::MemorySwapMax => LimitFile::SwapMax,
            _ => return None,
        };
        let limit = self.limit()?.resolve(memory);
        Some((file, limit.map_or(cgroupfs::Limit::Max, |bytes| cgroupfs::Limit::Bytes(whole_pages(bytes.0)))))
    }

    /// Reads the value of a property from the file.
    pub(crate) fn read(name: PropertyName, node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
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
    pub(crate) fn schema(name: PropertyName, generator: &mut SchemaGenerator) -> Schema {
        match name.info().kind {
            ValueKind::Size | ValueKind::PositiveSize => generator.subschema_for::<Limit>(),
            ValueKind::Weight => {
                json_schema!({ "type": ["integer", "string"], "minimum": 1, "maximum": 10_000, "pattern": "^[0-9]+$" })
            }
            ValueKind::Quota | ValueKind::Percent => generator.subschema_for::<Percent>(),
            ValueKind::Tasks => generator.subschema_for::<Tasks>(),
            ValueKind::OomPolicy => OomPolicy::schema(generator),
            ValueKind::ManagedOom => ManagedOom::schema(generator),
            ValueKind::Span | ValueKind::PressureSpan => generator.subschema_for::<Span>(),
            ValueKind::Preference => Preference::schema(generator),
            ValueKind::OomScore => json_schema!({ "type": "integer", "minimum": -1000, "maximum": 1000 }),
            ValueKind::Text => json_schema!({ "type": "string" }),
        }
    }
}

fn weight(text: &str) -> Result<u16, Malformed> {
    let weight = text.trim().parse().ok().filter(|weight| (1..=10_000).contains(weight));
    weight
        .ok_or_else(|| Malformed::new(format!("`{text}` is not a weight: expected a number from 1 to 10000")))
}

fn oom_score(text: &str) -> Result<i16, Malformed> {
    let value = text.parse().ok().filter(|value| (-1000..=1000).contains(value));
    value.ok_or_else(|| Malformed::new(format!("`{text}` is not an oom_score_adj: expected -1000 to 1000")))
}

fn positive(name: PropertyName, text: &str) -> Result<Percent, Malformed> {
    match text.parse()? {
        Percent(0) => Err(Malformed::new(format!("systemd refuses {name}={text}: it must be above 0"))),
        share => Ok(share),
    }
}

impl FromStr for Property {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let unknown = || Malformed::new(format!("`{text}` is not a property that bulkhead sets"));
        let (name, value) = text.split_once('=').ok_or_else(unknown)?;
        let mut names = PropertyName::ALL.into_iter().chain(PropertyName::OWN);
        Self::parse(names.find(|known| known.info().text == name).ok_or_else(unknown)?, value)
    }
}

impl TryFrom<String> for Property {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Property> for String {
    fn from(property: Property) -> Self {
        property.to_string()
    }
}

/// The kernel keeps limits in pages, rounded down.
#[must_use]
pub const fn whole_pages(bytes: u64) -> u64 {
    bytes & !0xfff
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

    /// 50 % of 2069016577 bytes, as read back from the kernel under systemd 257.
    #[rstest]
    #[case::whole_pages("MemoryMax=5000", Some((LimitFile::Max, cgroupfs::Limit::Bytes(4096))))]
    #[case::a_share("MemoryHigh=50%", Some((LimitFile::High, cgroupfs::Limit::Bytes(1_034_506_240))))]
    #[case::no_limit("MemorySwapMax=infinity", Some((LimitFile::SwapMax, cgroupfs::Limit::Max)))]
    #[case::in_no_file_of_memory("CPUWeight=100", None)]
    fn what_the_kernel_holds_follows_from_the_property(
        #[case] text: &str,
        #[case] held: Option<(LimitFile, cgroupfs::Limit)>,
    ) {
        assert_eq!(text.parse::<Property>().unwrap().held(Bytes(2_069_016_577)), held);
    }

    #[rstest]
    #[case("RuntimeMaxSec=90s")]
    #[case("TimeoutStopSec=1500ms")]
    #[case("RuntimeMaxSec=7us")]
    #[case("OOMScoreAdjust=-100")]
    #[case("Description=bulkhead run r1 a=b")]
    #[case("MemoryHigh=50%")]
    #[case("OOMPolicy=kill")]
    fn an_assignment_reads_back_as_it_was_written(#[case] text: &str) {
        assert_eq!(text.parse::<Property>().map(String::from), Ok(text.to_owned()));
    }

    #[rstest]
    #[case("MemoryMax")]
    #[case("CPUAffinity=1")]
    #[case("OOMScoreAdjust=1001")]
    fn what_is_no_assignment_is_refused(#[case] text: &str) {
        assert!(text.parse::<Property>().is_err());
    }

    proptest! {
        #[test]
        fn the_value_shown_reads_back(index in 0_usize..16, number in 1_u64..10_000, percent: bool) {
            let name = PropertyName::ALL[index];
            let text = if percent { format!("{}%", number % 100 + 1) } else { number.to_string() };
            if let Ok(property) = Property::parse(name, &text) {
                prop_assert_eq!(Property::parse(name, &property.value.to_string()), Ok(property.clone()));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(index in 0_usize..16, text in "\\PC{0,16}") {
            let _ = Property::parse(PropertyName::ALL[index], &text);
        }
    }
}
