//! What `policy.toml` asks for besides files → the commands that do it in the guest.

use ci::Command;

use super::BESIDE;
use crate::policy::{Backstop, Policy, User};

/// Users first, so that the policy's own command can name them; units last, so that it can bring some.
pub(super) fn steps(policy: &Policy) -> Vec<Command> {
    let mut steps: Vec<Command> = policy.users.iter().map(user).collect();
    steps.extend(own(policy));
    if !policy.units.enable.is_empty() {
        let units = policy.units.enable.iter().map(ToString::to_string);
        steps.push(systemctl("enable").args(units));
    }
    steps.extend(backstop(policy.backstop));
    steps
}

/// Somebody whom root of the guest may log in as over ssh.
fn user(user: &User) -> Command {
    let User { name, uid } = user;
    // The name is one that needs no quoting. `~NAME` may be a directory of the policy's files, which are root's.
    Command::sh(format!(
        "set -e
useradd --create-home --shell /bin/bash --uid {uid} {name}
mkdir -p ~{name}/.ssh
cat /root/.ssh/id_ed25519.pub >>~{name}/.ssh/authorized_keys
chmod -R go= ~{name}/.ssh
chown -R {name}: ~{name}"
    ))
}

/// The policy's own command: a first word with a slash that is not absolute is a file of the directory.
fn own(policy: &Policy) -> Option<Command> {
    let (program, words) = policy.install.split_first()?;
    let program = match program.strip_prefix("./").unwrap_or(program) {
        file if program.contains('/') && !program.starts_with('/') => format!("{BESIDE}/{file}"),
        _ => program.clone(),
    };
    let command = Command::new(program).args(words).cwd(BESIDE);
    Some(command.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The killer that is meant is there from the boot on, and no other is.
fn backstop(backstop: Backstop) -> Vec<Command> {
    const EARLYOOM: &[&str] = &["earlyoom.service"];
    const OOMD: &[&str] = &["systemd-oomd.service", "systemd-oomd.socket"];
    let enable = |units: &[&str]| systemctl("enable").args(units.iter().copied());
    let mask = |units: &[&str]| systemctl("mask").args(units.iter().copied());
    match backstop {
        Backstop::Earlyoom => vec![enable(EARLYOOM), mask(OOMD)],
        Backstop::SystemdOomd => vec![enable(&OOMD[..1])],
        Backstop::None => vec![mask(EARLYOOM), mask(OOMD)],
    }
}

fn systemctl(verb: &str) -> Command {
    Command::new("systemctl").arg(verb)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const POLICY: &str = include_str!("../../tests/fixtures/policies/every-key/policy.toml");

    fn shown(text: &str) -> Vec<String> {
        let policy = Policy::parse("policy.toml", text).expect("a policy");
        steps(&policy).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn users_come_first_and_the_backstop_last() {
        let steps = shown(POLICY);
        assert!(steps[0].contains("--uid 1001 alice\n"), "{steps:#?}");
        assert_eq!(
            steps[1..],
            [
                "/opt/bulkhead-policy/setup.sh --quiet",
                "systemctl enable docker.service database.service",
                "systemctl enable earlyoom.service",
                "systemctl mask systemd-oomd.service systemd-oomd.socket",
            ]
        );
    }

    #[rstest]
    #[case::of_the_directory("./setup.sh", "/opt/bulkhead-policy/setup.sh")]
    #[case::deeper("tools/setup", "/opt/bulkhead-policy/tools/setup")]
    #[case::of_the_guest("apt-get", "apt-get")]
    #[case::at_its_place("/usr/bin/true", "/usr/bin/true")]
    fn the_policys_own_command_is_found(#[case] written: &str, #[case] run: &str) {
        let steps = shown(&POLICY.replace("./setup.sh", written));
        assert_eq!(steps[1], format!("{run} --quiet"));
    }

    #[rstest]
    #[case("none", &["mask earlyoom.service", "mask systemd-oomd.service systemd-oomd.socket"])]
    #[case("systemd-oomd", &["enable systemd-oomd.service"])]
    fn only_the_killer_that_is_meant_is_there(#[case] killer: &str, #[case] expected: &[&str]) {
        let steps = shown(&POLICY.replace("\"earlyoom\"", &format!("\"{killer}\"")));
        let last: Vec<_> = steps[3..].iter().map(|step| step.trim_start_matches("systemctl ")).collect();
        assert_eq!(last, expected);
    }
}
