//! Whether a daemon can be heard: what in its settings keeps its words out of the journal. A silence that was ordered says
//! nothing.

use std::process::Command;
use std::time::Duration;

use crate::deadline;
use crate::error::chain;
use crate::killer::Voice;
use crate::systemd::{Manager, Value};

/// How long systemctl may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// journald's own limit is 10,000 messages in 30 s, which no daemon comes near. One below this was set on purpose.
const FEWEST_LINES: u64 = 1000;

/// The priority of the least important line that is evidence (`syslog(3)`).
fn least(voice: Voice) -> i32 {
    match voice {
        Voice::Systemd => 5,
        Voice::Streams => 6,
    }
}

/// The settings that decide whether a unit is heard.
const SETTINGS: [&str; 6] = [
    "LogLevelMax",
    "LogNamespace",
    "LogRateLimitBurst",
    "LogFilterPatterns",
    "StandardOutput",
    "StandardError",
];

/// Everything that mutes a running unit, in words.
pub(super) fn muted(unit: &str, voice: Voice, systemd: &dyn Manager) -> Vec<String> {
    let mut why = Vec::new();
    for setting in SETTINGS {
        match systemd.property(unit, setting) {
            Ok(value) => why.extend(value.and_then(|value| mutes(setting, &value, voice))),
            Err(error) => why.push(format!("{setting} could not be read: {}", chain(&error))),
        }
    }
    if voice == Voice::Systemd {
        why.extend(asked(unit, "service-log-level", |level| !hears(level)));
        why.extend(asked(unit, "service-log-target", |target| !arrives(target)));
    }
    why
}

/// Whether a setting mutes.
fn mutes(setting: &str, value: &Value, voice: Voice) -> Option<String> {
    let muted = match (setting, value) {
        // -1: not set.
        ("LogLevelMax", Value::I32(level)) => (0..least(voice)).contains(level),
        ("LogNamespace", Value::Str(namespace)) => !namespace.is_empty(),
        ("LogRateLimitBurst", value) => {
            value.as_u64().is_some_and(|burst| (1..FEWEST_LINES).contains(&burst))
        }
        ("LogFilterPatterns", Value::Other(patterns)) => patterns.contains('"'),
        ("StandardOutput" | "StandardError", Value::Str(to)) => {
            voice == Voice::Streams && !(to.starts_with("journal") || to == "inherit")
        }
        _ => false,
    };
    let value = match value {
        Value::I32(number) => number.to_string(),
        Value::Str(text) | Value::Other(text) => text.clone(),
        other => other.as_u64().map_or_else(|| format!("{other:?}"), |number| number.to_string()),
    };
    muted.then(|| format!("{setting}={value}"))
}

/// What a running service of systemd says of its own logging (`org.freedesktop.LogControl1(5)`).
fn asked(unit: &str, what: &str, mutes: impl FnOnce(&str) -> bool) -> Option<String> {
    let mut command = Command::new("systemctl");
    let answer = deadline::output(command.args([what, unit]), ANSWER_WITHIN);
    match answer {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let value = text.trim();
            mutes(value).then(|| format!("its {what} is {value}"))
        }
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            Some(format!("its {what} could not be asked: {}", words.trim()))
        }
        Err(error) => Some(format!("its {what} could not be asked: {}", chain(&error))),
    }
}

/// Whether a daemon at this log level says that it killed.
fn hears(level: &str) -> bool {
    matches!(level, "notice" | "info" | "debug")
}

/// Whether what goes to this target comes to the journal.
fn arrives(target: &str) -> bool {
    matches!(target, "auto" | "journal" | "journal-or-kmsg" | "syslog" | "syslog-or-kmsg")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::Fake;
    use rstest::rstest;

    #[rstest]
    #[case::silenced("LogLevelMax", Value::I32(3), Some("LogLevelMax=3"))]
    #[case::one_below_its_lines("LogLevelMax", Value::I32(5), Some("LogLevelMax=5"))]
    #[case::loud_enough("LogLevelMax", Value::I32(6), None)]
    #[case::no_level("LogLevelMax", Value::I32(-1), None)]
    #[case::elsewhere("LogNamespace", Value::Str("quiet".into()), Some("LogNamespace=quiet"))]
    #[case::in_the_one_journal("LogNamespace", Value::Str("".into()), None)]
    #[case::throttled("LogRateLimitBurst", Value::U32(1), Some("LogRateLimitBurst=1"))]
    #[case::journalds_own_limit("LogRateLimitBurst", Value::U32(0), None)]
    #[case::to_nobody("StandardError", Value::Str("null".into()), Some("StandardError=null"))]
    #[case::as_ever("StandardError", Value::Str("inherit".into()), None)]
    #[case::both_ways("StandardOutput", Value::Str("journal+console".into()), None)]
    fn a_setting_that_mutes_is_named_with_its_value(
        #[case] setting: &str,
        #[case] value: Value,
        #[case] expected: Option<&str>,
    ) {
        let systemd = Fake::new(257);
        systemd.start_service("x.service", "system.slice", &["/bin/x".into()], &[], &[]).expect("started");
        systemd.says("x.service", setting, value);
        assert_eq!(muted("x.service", Voice::Streams, &systemd), Vec::from_iter(expected));
    }

    #[test]
    fn a_notice_needs_less_than_a_line_of_a_stream_and_no_stream() {
        assert_eq!(mutes("LogLevelMax", &Value::I32(5), Voice::Systemd), None);
        assert_eq!(mutes("LogLevelMax", &Value::I32(4), Voice::Systemd), Some("LogLevelMax=4".into()));
        assert_eq!(mutes("StandardError", &Value::Str("null".into()), Voice::Systemd), None);
    }

    #[rstest]
    #[case("info", true)]
    #[case("notice", true)]
    #[case("warning", false)]
    #[case("emerg", false)]
    #[case("", false)]
    fn a_kill_is_told_at_notice_and_above(#[case] level: &str, #[case] expected: bool) {
        assert_eq!(hears(level), expected);
    }

    #[rstest]
    #[case("auto", true)]
    #[case("journal-or-kmsg", true)]
    #[case("kmsg", false)]
    #[case("null", false)]
    fn only_some_targets_come_to_the_journal(#[case] target: &str, #[case] expected: bool) {
        assert_eq!(arrives(target), expected);
    }
}
