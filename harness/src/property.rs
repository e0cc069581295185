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
use crate::reading::{Node, Reader, Value, parse_word};

mod name;
mod tasks;
mod unit_kind;
mod value;

pub use name::{PropertyInfo, PropertyName, ValueKind};
pub use tasks::Tasks;
pub use unit_kind::UnitKind;
pub use value::{ManagedOom, OomPolicy, Preference, PropertyValue};

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
