//! A unit property as it travels over D-Bus: systemd's name and a value of the type that systemd expects.

use serde::{Deserialize, Serialize};
use zbus::Variant;

/// A property to set when a unit is made or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// The D-Bus name: `MemoryMax`, but `RuntimeMaxUSec`, not `RuntimeMaxSec`.
    pub name: String,
    /// Its value.
    pub value: PropertyValue,
}

/// The value of a property; one variant for each D-Bus type in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PropertyValue {
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
    /// `as`.
    StrArray(Vec<String>),
    /// `au`.
    U32Array(Vec<u32>),
    /// `ay`, such as `InvocationID`.
    Bytes(Vec<u8>),
    /// Anything else, read back as text for people; cannot be set.
    Other(String),
}

impl Property {
    /// A property called `name`.
    pub fn new(name: impl Into<String>, value: impl Into<PropertyValue>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// The pair that `StartTransientUnit` takes.
    pub(super) fn pair(&self) -> (&str, Variant<'_>) {
        (&self.name, self.value.to_variant())
    }
}

impl PropertyValue {
    /// No limit, or not set: `u64::MAX`.
    pub const INFINITY: Self = Self::U64(u64::MAX);

    fn to_variant(&self) -> Variant<'_> {
        match self {
            Self::U64(value) => Variant::U64(*value),
            Self::U32(value) => Variant::U32(*value),
            Self::I32(value) => Variant::I32(*value),
            Self::Bool(value) => Variant::Bool(*value),
            Self::Str(value) | Self::Other(value) => Variant::from(value.as_str()),
            Self::StrArray(values) => Variant::from(values.iter().map(String::as_str).collect::<Vec<_>>()),
            Self::U32Array(values) => Variant::from(values.clone()),
            Self::Bytes(values) => Variant::from(values.clone()),
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
                Self::from_array(array).unwrap_or_else(|| Self::Other(variant.to_string()))
            }
            other => Self::Other(other.to_string()),
        }
    }

    fn from_array(array: &zbus::Array<'_>) -> Option<Self> {
        let items = array.iter();
        match array.element_signature().to_string().as_str() {
            "s" => items
                .map(|item| if let Variant::Str(text) = item { Some(text.to_string()) } else { None })
                .collect::<Option<_>>()
                .map(Self::StrArray),
            "u" => items
                .map(|item| if let Variant::U32(value) = item { Some(*value) } else { None })
                .collect::<Option<_>>()
                .map(Self::U32Array),
            "y" => items
                .map(|item| if let Variant::U8(value) = item { Some(*value) } else { None })
                .collect::<Option<_>>()
                .map(Self::Bytes),
            _ => None,
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
            | Self::StrArray(_)
            | Self::U32Array(_)
            | Self::Bytes(_)
            | Self::Other(_) => None,
        }
    }
}

impl From<u64> for PropertyValue {
    fn from(value: u64) -> Self {
        Self::U64(value)
    }
}

impl From<u32> for PropertyValue {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<i32> for PropertyValue {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<bool> for PropertyValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for PropertyValue {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<String> for PropertyValue {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(PropertyValue::U64(512), "t")]
    #[case(PropertyValue::U32(5), "u")]
    #[case(PropertyValue::I32(-5), "i")]
    #[case(PropertyValue::Bool(true), "b")]
    #[case(PropertyValue::Str("kill".into()), "s")]
    #[case(PropertyValue::StrArray(vec!["A=b".into()]), "as")]
    #[case(PropertyValue::StrArray(vec![]), "as")]
    #[case(PropertyValue::U32Array(vec![1, 2]), "au")]
    #[case(PropertyValue::Bytes(vec![1, 255]), "ay")]
    fn each_value_travels_as_its_type_and_comes_back(#[case] value: PropertyValue, #[case] signature: &str) {
        let variant = value.to_variant();
        assert_eq!(variant.value_signature().to_string(), signature);
        assert_eq!(PropertyValue::from_variant(&variant), value);
    }
}
