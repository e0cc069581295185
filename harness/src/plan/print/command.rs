//! What is done over D-Bus, as the lines an operator could type.
//!
//! For people only: nothing runs these lines, and no shell is involved in a run.

use crate::property::Property;

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
    let assignments: Vec<_> = properties.iter().map(ToString::to_string).collect();
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

fn run_options(properties: &[Property]) -> Vec<String> {
    properties.iter().flat_map(|property| ["-p".to_owned(), property.to_string()]).collect()
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

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn properties(assignments: &[&str]) -> Vec<Property> {
        assignments.iter().map(|text| text.parse().expect("a property")).collect()
    }

    #[test]
    fn a_scope_is_one_line_of_systemd_run() {
        let properties = properties(&[
            "MemoryMax=512M",
            "MemorySwapMax=0",
            "RuntimeMaxSec=90s",
            "Description=the hog's scope",
        ]);
        insta::assert_snapshot!(
            scope("bulkhead-r1-work.scope", "bulkhead-r1.slice", &words(&["balloon", "--comm", "x,pid=1 (b)"]), &properties),
            @r"systemd-run --scope --unit=bulkhead-r1-work.scope --slice=bulkhead-r1.slice -p MemoryMax=512M -p MemorySwapMax=0 -p RuntimeMaxSec=90s -p 'Description=the hog'\''s scope' -- balloon --comm 'x,pid=1 (b)'"
        );
    }

    #[test]
    fn a_slice_gets_its_limits_and_is_started() {
        let properties = properties(&["MemoryMax=infinity", "CPUQuota=50%"]);
        insta::assert_snapshot!(slice("a-b\\x2dc.slice", &properties).join("\n"), @r"
        systemctl set-property --runtime 'a-b\x2dc.slice' MemoryMax=infinity CPUQuota=50%
        systemctl start 'a-b\x2dc.slice'
        ");
        assert_eq!(slice("a.slice", &[]), ["systemctl start a.slice"]);
    }

    #[test]
    fn a_service_shows_its_type() {
        insta::assert_snapshot!(
            service("x.service", "a.slice", &words(&["/bin/x"]), &properties(&["OOMPolicy=kill"])),
            @"systemd-run --service-type=exec --unit=x.service --slice=a.slice -p OOMPolicy=kill -- /bin/x"
        );
    }
}
