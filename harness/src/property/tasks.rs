//! `TasksMax=` as systemd writes it: a number, a share of the system's tasks, or `infinity`.
//!
//! Resolving the share is left to systemd, which alone knows `system_tasks_max`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::notation::Malformed;
use crate::notation::percent::Percent;

/// How many tasks a cgroup may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    /// So many, at least one.
    Count(u64),
    /// A share of the system's maximum.
    Percent(Percent),
    /// No limit.
    Infinity,
}

impl FromStr for Tasks {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let trimmed = text.trim();
        let refused = || {
            Malformed::new(format!(
                "`{text}` is not a number of tasks: expected a number above 0, `50%` or `infinity`"
            ))
        };
        if trimmed == "infinity" {
            return Ok(Self::Infinity);
        }
        if trimmed.ends_with('%') {
            let share: Percent = trimmed.parse()?;
            return if share > Percent(0) && share <= Percent::HUNDRED {
                Ok(Self::Percent(share))
            } else {
                Err(refused())
            };
        }
        let plain = !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit());
        let count = trimmed.parse().ok().filter(|count| plain && (1..u64::MAX).contains(count));
        count.map(Self::Count).ok_or_else(refused)
    }
}

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(share) => share.fmt(f),
            Self::Infinity => f.write_str("infinity"),
        }
    }
}

impl JsonSchema for Tasks {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tasks".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^(infinity|[0-9]+(\\.[0-9]+)?%|[0-9]+)$",
            "minimum": 1,
            "description": "a number of tasks, a share such as 50%, or infinity",
        })
    }
}
