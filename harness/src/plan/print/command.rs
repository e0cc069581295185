//! What is done over D-Bus, as the lines an operator could type.
//!
//! For people only: nothing runs these lines, and no shell is involved in a run.

use crate::systemd::{Property, PropertyValue};

/// Starts a scope around a new process; a running process can be moved into a scope only over D-Bus.
pub(super) fn scope(name: &str, slice: &str, argv: &[String], properties: &[Property]) -> String {
    let fixed = ["systemd-run", "--scope", &format!("--unit={name}"), &format!("--slice={slice}")];
    line(&fixed, &run_options(properties), argv)
}

/// Starts a transient service.
pub(super) fn service(name: &str, slice: &str, argv: &[String], properties: &[Property]) -> String {
    let fixed =
        ["systemd-run", "--service-type=exec", &format!("--unit={name}"), &format!("--slice={slice}")];
    line(&fixed, &run_options(properties), argv)
}

/// Starts a slice with limits: `systemd-run` makes none, so the limits are set at run time first.
pub(super) fn slice(name: &str, properties: &[Property]) -> Vec<String> {
    let mut lines = Vec::new();
    let assignments: Vec<_> = properties.iter().filter_map(assignment).collect();
    if !assignments.is_empty() {
        lines.push(line(&["systemctl", "set-property", "--runtime", name], &assignments, &[]));
    }
    lines.push(line(&["systemctl", "start", name], &[], &[]));
    lines
}

/// Stops a unit.
pub(super) fn stop(name: &str) -> String {
    line(&["systemctl", "stop", name], &[], &[])
}

/// A property as a unit file and `systemd-run -p` spell it: `RuntimeMaxUSec` over D-Bus is `RuntimeMaxSec=` there. `None`
/// for what has no spelling there, such as `PIDs`.
fn assignment(property: &Property) -> Option<String> {
    let name = property.name.as_str();
    let name = match name {
        "PIDs" => return None,
        "CPUQuotaPerSecUSec" => "CPUQuota".to_owned(),
        _ => name.strip_suffix("USec").map_or_else(|| name.to_owned(), |stem| format!("{stem}Sec")),
    };
    Some(format!("{name}={}", spelled(property)?))
}

fn spelled(property: &Property) -> Option<String> {
    let name = property.name.as_str();
    Some(match &property.value {
        PropertyValue::U64(u64::MAX) if name == "CPUQuotaPerSecUSec" => String::new(),
        PropertyValue::U64(u64::MAX) => "infinity".to_owned(),
        PropertyValue::U64(us) if name == "CPUQuotaPerSecUSec" => format!("{}%", us / 10_000),
        PropertyValue::U64(us) if name.ends_with("USec") => span(*us),
        PropertyValue::U64(value) => value.to_string(),
        PropertyValue::U32(fraction) if name == "ManagedOOMMemoryPressureLimit" => {
            // A fraction of u32::MAX; rounded to the whole percent that it was made from.
            let percent = (u64::from(*fraction) * 100 + u64::from(u32::MAX / 2)) / u64::from(u32::MAX);
            format!("{percent}%")
        }
        PropertyValue::U32(value) => value.to_string(),
        PropertyValue::I32(value) => value.to_string(),
        PropertyValue::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        PropertyValue::Str(value) => value.clone(),
        PropertyValue::StrArray(values) => values.join(" "),
        PropertyValue::U32Array(_) | PropertyValue::Bytes(_) | PropertyValue::Other(_) => return None,
    })
}

/// A time span in systemd's notation, in the largest unit that is exact.
fn span(us: u64) -> String {
    match us {
        us if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us.is_multiple_of(1000) => format!("{}ms", us / 1000),
        us => format!("{us}us"),
    }
}

fn run_options(properties: &[Property]) -> Vec<String> {
    properties.iter().filter_map(assignment).flat_map(|text| ["-p".to_owned(), text]).collect()
}

fn line(fixed: &[&str], options: &[String], argv: &[String]) -> String {
    let fixed = fixed.iter().copied();
    let mut words: Vec<_> = fixed.chain(options.iter().map(String::as_str)).map(quoted).collect();
    if !argv.is_empty() {
        words.push("--".to_owned());
        words.extend(argv.iter().map(|word| quoted(word)));
    }
    words.join(" ")
}

/// One word of a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_scope_is_one_line_of_systemd_run() {
        let properties = [
            Property::new("MemoryMax", 536_870_912u64),
            Property::new("MemorySwapMax", 0u64),
            Property::new("RuntimeMaxUSec", 90_000_000u64),
            Property::new("Description", "the hog's scope"),
            Property { name: "PIDs".into(), value: PropertyValue::U32Array(vec![7]) },
        ];
        insta::assert_snapshot!(
            scope("bulkhead-r1-work.scope", "bulkhead-r1.slice", &words(&["balloon", "--comm", "x,pid=1 (b)"]), &properties),
            @r"systemd-run --scope --unit=bulkhead-r1-work.scope --slice=bulkhead-r1.slice -p MemoryMax=536870912 -p MemorySwapMax=0 -p RuntimeMaxSec=90s -p 'Description=the hog'\''s scope' -- balloon --comm 'x,pid=1 (b)'"
        );
    }

    #[test]
    fn a_slice_gets_its_limits_and_is_started() {
        let properties =
            [Property::new("MemoryMax", u64::MAX), Property::new("CPUQuotaPerSecUSec", 500_000u64)];
        insta::assert_snapshot!(slice("a-b\\x2dc.slice", &properties).join("\n"), @r"
        systemctl set-property --runtime 'a-b\x2dc.slice' MemoryMax=infinity CPUQuota=50%
        systemctl start 'a-b\x2dc.slice'
        ");
        assert_eq!(slice("a.slice", &[]), ["systemctl start a.slice"]);
    }

    #[test]
    fn a_service_shows_its_type() {
        insta::assert_snapshot!(
            service("x.service", "a.slice", &words(&["/bin/x"]), &[Property::new("RemainAfterExit", true)]),
            @"systemd-run --service-type=exec --unit=x.service --slice=a.slice -p RemainAfterExit=yes -- /bin/x"
        );
    }

    #[rstest]
    #[case(
        "ManagedOOMMemoryPressureLimit",
        PropertyValue::U32(2_147_483_648),
        "ManagedOOMMemoryPressureLimit=50%"
    )]
    #[case("TimeoutStopUSec", PropertyValue::U64(1_500_000), "TimeoutStopSec=1500ms")]
    #[case("RuntimeMaxUSec", PropertyValue::U64(7), "RuntimeMaxSec=7us")]
    #[case("RuntimeMaxUSec", PropertyValue::INFINITY, "RuntimeMaxSec=infinity")]
    #[case(
        "ManagedOOMMemoryPressureDurationUSec",
        PropertyValue::U64(30_000_000),
        "ManagedOOMMemoryPressureDurationSec=30s"
    )]
    #[case("CPUQuotaPerSecUSec", PropertyValue::INFINITY, "CPUQuota=")]
    #[case("OOMPolicy", PropertyValue::Str("kill".into()), "OOMPolicy=kill")]
    fn a_property_is_spelled_as_in_a_unit_file(
        #[case] name: &str,
        #[case] value: PropertyValue,
        #[case] expected: &str,
    ) {
        assert_eq!(assignment(&Property { name: name.to_owned(), value }).as_deref(), Some(expected));
    }
}
