//! Unit properties over D-Bus: a typed one → systemd's name and a value of the type that systemd expects; what was read → a
//! value.
//!
//! Source: `bus_cgroup_set_property()` of `src/core/dbus-cgroup.c`, `org.freedesktop.systemd1(5)`.

use zbus::Variant;

use crate::notation::limit::Limit;
use crate::property::{Property, PropertyValue, Tasks};
use crate::reading::word;

/// A value as D-Bus carries it; one variant for each type in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `t`: bytes, weights, microseconds; `u64::MAX` is infinity, or not set.
    U64(u64),
    /// `u`: fractions of `u32::MAX`, process ids.
    U32(u32),
    /// `i`.
    I32(i32),
    /// `b`.
    Bool(bool),
    /// `s`, and object paths when read.
    Str(String),
    /// `ay`, such as `InvocationID`.
    Bytes(Vec<u8>),
    /// `as`, such as `DropInPaths`.
    Strings(Vec<String>),
    /// Anything else, read back as text for people; is never sent.
    Other(String),
}

/// Name and value for `StartTransientUnit` and `SetUnitProperties`.
pub(super) fn sent(property: &Property) -> (String, Value) {
    let name = property.name.info().text;
    let name = match &property.value {
        PropertyValue::Size(Limit::Percent(_)) | PropertyValue::Tasks(Tasks::Percent(_)) => {
            format!("{name}Scale")
        }
        PropertyValue::Quota(_) => format!("{name}PerSecUSec"),
        PropertyValue::Span(_) => format!("{}USec", name.trim_end_matches("Sec")),
        _ => name.to_owned(),
    };
    let value = match &property.value {
        PropertyValue::Size(Limit::Bytes(bytes)) => Value::U64(bytes.0),
        PropertyValue::Tasks(Tasks::Count(count)) => Value::U64(*count),
        PropertyValue::Size(Limit::Infinity) | PropertyValue::Tasks(Tasks::Infinity) => Value::U64(u64::MAX),
        PropertyValue::Size(Limit::Percent(share))
        | PropertyValue::Tasks(Tasks::Percent(share))
        | PropertyValue::Percent(share) => Value::U32(share.scale()),
        PropertyValue::Weight(weight) => Value::U64((*weight).into()),
        // µs of CPU time a second: 100 % of one CPU is 1,000,000.
        PropertyValue::Quota(share) => Value::U64(share.of(1_000_000)),
        PropertyValue::OomPolicy(policy) => Value::Str(word(*policy).to_owned()),
        PropertyValue::ManagedOom(action) => Value::Str(word(*action).to_owned()),
        PropertyValue::Preference(preference) => Value::Str(word(*preference).to_owned()),
        PropertyValue::Span(span) => Value::U64(span.0),
        PropertyValue::OomScore(score) => Value::I32((*score).into()),
        PropertyValue::Text(text) => Value::Str(text.clone()),
    };
    (name, value)
}

impl Value {
    pub(super) fn to_variant(&self) -> Variant<'_> {
        match self {
            Self::U64(value) => Variant::U64(*value),
            Self::U32(value) => Variant::U32(*value),
            Self::I32(value) => Variant::I32(*value),
            Self::Bool(value) => Variant::Bool(*value),
            Self::Str(value) | Self::Other(value) => Variant::from(value.as_str()),
            Self::Bytes(values) => Variant::from(values.clone()),
            Self::Strings(values) => Variant::from(values.clone()),
        }
    }

    /// What a property that was read holds.
    pub(super) fn from_variant(variant: &Variant<'_>) -> Self {
        match variant {
            Variant::U64(value) => Self::U64(*value),
            Variant::U32(value) => Self::U32(*value),
            Variant::I32(value) => Self::I32(*value),
            Variant::Bool(value) => Self::Bool(*value),
            Variant::Str(value) => Self::Str(value.to_string()),
            Variant::ObjectPath(value) => Self::Str(value.to_string()),
            Variant::Array(array) => {
                bytes(array).or_else(|| strings(array)).unwrap_or_else(|| Self::Other(variant.to_string()))
            }
            other => Self::Other(other.to_string()),
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }

    /// The number, of whichever unsigned type.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::U64(value) => Some(*value),
            Self::U32(value) => Some(u64::from(*value)),
            Self::I32(_)
            | Self::Bool(_)
            | Self::Str(_)
            | Self::Bytes(_)
            | Self::Strings(_)
            | Self::Other(_) => None,
        }
    }
}

fn bytes(array: &zbus::Array<'_>) -> Option<Value> {
    if array.element_signature().to_string() != "y" {
        return None;
    }
    let byte = |item: &Variant<'_>| if let Variant::U8(value) = item { Some(*value) } else { None };
    array.iter().map(byte).collect::<Option<_>>().map(Value::Bytes)
}

fn strings(array: &zbus::Array<'_>) -> Option<Value> {
    if array.element_signature().to_string() != "s" {
        return None;
    }
    let text =
        |item: &Variant<'_>| if let Variant::Str(value) = item { Some(value.to_string()) } else { None };
    array.iter().map(text).collect::<Option<_>>().map(Value::Strings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Value::U64(512), "t")]
    #[case(Value::U32(5), "u")]
    #[case(Value::I32(-5), "i")]
    #[case(Value::Bool(true), "b")]
    #[case(Value::Str("kill".into()), "s")]
    #[case(Value::Bytes(vec![1, 255]), "ay")]
    #[case(Value::Strings(vec!["a".into(), String::new()]), "as")]
    fn each_value_travels_as_its_type_and_comes_back(#[case] value: Value, #[case] signature: &str) {
        let variant = value.to_variant();
        assert_eq!(variant.value_signature().to_string(), signature);
        assert_eq!(Value::from_variant(&variant), value);
    }

    #[rstest]
    #[case("MemoryMax=512M", "MemoryMax", Value::U64(512 << 20))]
    #[case("MemorySwapMax=0", "MemorySwapMax", Value::U64(0))]
    #[case("MemoryMax=infinity", "MemoryMax", Value::U64(u64::MAX))]
    #[case("MemoryHigh=50%", "MemoryHighScale", Value::U32(2_147_483_648))]
    #[case("CPUQuota=50%", "CPUQuotaPerSecUSec", Value::U64(500_000))]
    #[case("CPUQuota=150%", "CPUQuotaPerSecUSec", Value::U64(1_500_000))]
    #[case("CPUWeight=300", "CPUWeight", Value::U64(300))]
    #[case("TasksMax=64", "TasksMax", Value::U64(64))]
    #[case("TasksMax=100%", "TasksMaxScale", Value::U32(u32::MAX))]
    #[case("OOMPolicy=continue", "OOMPolicy", Value::Str("continue".into()))]
    #[case("ManagedOOMSwap=kill", "ManagedOOMSwap", Value::Str("kill".into()))]
    #[case("ManagedOOMMemoryPressureLimit=50%", "ManagedOOMMemoryPressureLimit", Value::U32(2_147_483_648))]
    #[case(
        "ManagedOOMMemoryPressureDurationSec=2s",
        "ManagedOOMMemoryPressureDurationUSec",
        Value::U64(2_000_000)
    )]
    #[case("ManagedOOMPreference=omit", "ManagedOOMPreference", Value::Str("omit".into()))]
    #[case("RuntimeMaxSec=90s", "RuntimeMaxUSec", Value::U64(90_000_000))]
    #[case("OOMScoreAdjust=-100", "OOMScoreAdjust", Value::I32(-100))]
    #[case("Description=a hog", "Description", Value::Str("a hog".into()))]
    fn a_property_becomes_what_systemd_takes_on_the_bus(
        #[case] assignment: &str,
        #[case] name: &str,
        #[case] value: Value,
    ) {
        assert_eq!(sent(&assignment.parse().expect("a property")), (name.to_owned(), value));
    }
}
