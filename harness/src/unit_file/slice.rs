//! Where a unit lies: the slice that its files or its name put it in, and so its cgroup.

use super::files::Manager;
use super::unit::Unit;
use super::value::Value;
use crate::cgroupfs::CgroupPath;
use crate::notation::{Malformed, UnitName};
use crate::unit_name::slice_cgroup;

impl Unit {
    /// The slice it lies in; none for a slice, whose name says it.
    #[must_use]
    pub fn slice(&self) -> Option<Result<UnitName, String>> {
        if self.name.unit_type() == "slice" {
            return None;
        }
        let Some(Value::Text(written)) = self.value("Slice") else {
            return Some(Ok(self.default_slice()));
        };
        let expanded = expand(written, &self.name);
        let slice =
            expanded.ok_or_else(|| format!("Slice={written} has a specifier that only the machine can tell"));
        Some(slice.and_then(|slice| slice.parse().map_err(|refused: Malformed| refused.message)))
    }

    /// `unit_set_default_slice()`: instances of one template share a slice.
    fn default_slice(&self) -> UnitName {
        let (all, below) = match self.manager {
            Manager::System => ("system.slice", "system"),
            Manager::User => ("app.slice", "app"),
        };
        let template = self.name.stem().split_once('@').map(|(prefix, _)| prefix);
        let slice =
            template.map_or_else(|| all.to_owned(), |prefix| format!("{below}-{}.slice", escape(prefix)));
        slice.parse().unwrap_or_else(|_| self.name.clone())
    }

    /// Its cgroup, below that of its manager.
    ///
    /// # Errors
    /// When its `Slice=` is not told by the files.
    pub fn cgroup(&self) -> Result<CgroupPath, String> {
        let Some(slice) = self.slice() else {
            return slice_cgroup(&self.name).map_err(|refused| refused.to_string());
        };
        let slice = slice_cgroup(&slice?).map_err(|refused| refused.to_string())?;
        slice.join(&self.name).map_err(|refused| refused.to_string())
    }
}

/// The specifiers of `systemd.unit(5)` that the unit's name alone tells.
fn expand(text: &str, name: &UnitName) -> Option<String> {
    let (prefix, instance) = name.stem().split_once('@').unwrap_or((name.stem(), ""));
    let mut found = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            found.push(c);
            continue;
        }
        match rest.next()? {
            'i' => found += instance,
            'p' => found += prefix,
            'j' => found += prefix.rsplit('-').next()?,
            'n' => found += name,
            'N' => found += name.stem(),
            '%' => found.push('%'),
            _ => return None,
        }
    }
    Some(found)
}

/// `unit_name_escape()` of a template's name: what would mean something in a slice's is written as `\xNN`.
fn escape(prefix: &str) -> String {
    let plain = |index: usize, byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_') || (byte == b'.' && index > 0)
    };
    let escaped = prefix.bytes().enumerate().map(|(index, byte)| {
        if plain(index, byte) { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }
    });
    escaped.collect()
}
