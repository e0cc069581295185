//! `/proc/swaps`.

use serde::{Deserialize, Serialize};

/// One swap device or file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapDevice {
    /// Its path, as the kernel escapes it.
    pub path: String,
    /// `partition` (zram too) or `file`.
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
    /// Higher is used first.
    pub priority: i32,
}

/// Reads the table; `None` when it does not begin with its heading or a line makes no sense.
pub(super) fn parse(text: &str) -> Option<Vec<SwapDevice>> {
    let mut lines = text.lines();
    lines.next().filter(|heading| heading.starts_with("Filename"))?;
    lines.map(device).collect()
}

fn device(line: &str) -> Option<SwapDevice> {
    let mut fields = line.split_ascii_whitespace();
    Some(SwapDevice {
        path: fields.next()?.to_owned(),
        kind: fields.next()?.to_owned(),
        size: fields.next()?.parse::<u64>().ok()?.checked_mul(1024)?,
        used: fields.next()?.parse::<u64>().ok()?.checked_mul(1024)?,
        priority: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_alone_is_a_machine_without_swap() {
        assert_eq!(parse("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"), Some(vec![]));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn sizes_are_bytes() {
        let text = "Filename Type Size Used Priority\n/dev/zram0                              partition\t1024\t4\t100\n";
        let expected = SwapDevice {
            path: "/dev/zram0".into(),
            kind: "partition".into(),
            size: 1024 * 1024,
            used: 4096,
            priority: 100,
        };
        assert_eq!(parse(text), Some(vec![expected]));
        assert_eq!(parse("Filename\n/dev/zram0 partition many 0 1\n"), None);
    }
}
