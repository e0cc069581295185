//! A policy that reads well → what is still wrong with it: names, entrances, and files that are not there.
//!
//! Only what the directory alone decides: whether a limit binds and where a container lands is read back in the guest,
//! because a policy that is wrong there is what a run is for.

mod trees;

use super::sizes::sizes;
use super::{Backstop, Directory, Entry, Policy};
use crate::notation::UnitName;
use crate::notation::suggest::nearest;
use crate::reading::diagnostic::{Diagnostic, Source};
use crate::reading::places::Step;
use crate::reading::rule::{DUPLICATE_NAME, Rule, UNKNOWN_NAME, rules};

rules! {
    Error SYSTEM_USER = "user-of-the-system",
        "The user's name or number belongs to the system. Below 1000 are the users of packages, above 60000 those that \
        systemd gives out by itself, and root is nobody's tree: making such a user in the guest would fail, or change \
        what the policy is tested on. Take a number from 1000 to 60000 and a name that no package uses.";
    Error SHARED_CGROUP = "trees-share-a-cgroup",
        "Two trees are the same cgroup. Every case would run twice on it, and what is known to fail on one would pass or \
        fail on the other at random. Remove one; a cgroup that can be entered in two ways is one tree with the way in \
        that its users take.";
    Error TEMPLATE = "template-without-instance",
        "The unit is a template: it has no cgroup and never runs, only its instances do. Write the instance with what \
        stands behind the @: server@alice.service.";
    Error NO_INSTANCE = "no-instance",
        "The entrance is called `instance`, and the unit has no @: it is not made from a template. Write \
        `service = ...` for a service of its own.";
    Error ELSEWHERE = "entrance-leads-elsewhere",
        "The way in does not lead into the tree, whatever the unit files say: a login of uid 1001 runs below \
        user-1001.slice, a scope below its slice, and a service holds no other. The stress would arrive beside the caps \
        under test. Correct the entrance or the cgroup.";
    Error INSTALL_MISSING = "install-missing",
        "The command of `install` is a file of the policy directory that is not there, cannot be executed, or leads out \
        of it. The directory is copied into the guest as a whole, and only that. Put the script beside policy.toml, make \
        it executable, and write its path with ./ in front; a command without a slash is a program of the guest.";
    Error HARNESS_UNIT = "unit-of-the-harness",
        "The unit's name begins with `bulkhead`: units of that name are the harness's own, in the guest as well. \
        Replacing one would leave nobody to run the test. Rename the unit.";
    Error NOTHING_KNOWN = "no-finding-known",
        "A known failure names no finding. It would say that the case fails without failing. List the ids of the \
        expectations that are red; a report of the case has them.";
    Warning LOST_AT_BOOT = "lost-at-boot",
        "The file lies in /run or /tmp, which are empty after a boot: the policy is installed before the guest boots, as \
        on a real machine that is restarted, so the file is gone when it would count. Put unit files and drop-ins below \
        /etc; what must be made at each boot is made by a unit or by tmpfiles.d.";
    Warning ABOVE_MACHINE = "above-the-machine",
        "The size is above the memory that [machine] says the policy is for, so it never limits or protects anything \
        there. A cap that nothing can reach is no cap. Correct the size or [machine]; a share, such as 80%, fits machines of \
        any size.";
    Warning BACKSTOP_FILES = "backstop-without-files",
        "The policy names a backstop and installs no setting of it, so that the test runs with the distribution's \
        defaults: earlyoom kills only when swap is short, too, and systemd-oomd watches only what opts in. That is fine \
        when the defaults are meant. Otherwise install /etc/default/earlyoom, or oomd.conf and units with ManagedOOM...=kill.";
    Warning NO_WORK_TREE = "no-work-tree",
        "No tree has role = \"work\", so no scenario is run on anything: the policy is installed and read back, and that \
        is all. Add a [tree] for each place that may run away.";
    Warning NOTHING_INSTALLED = "nothing-installed",
        "The policy has no files below root/ and no `install`: what would be tested is the distribution as it comes. Put \
        the files below root/ at the paths at which they are installed.";
}

/// What is wrong with a policy beyond its text. Errors mean that it cannot be run; warnings, that it proves less than it
/// seems to.
#[must_use]
pub fn check(directory: &Directory) -> Vec<Diagnostic> {
    let mut checker = Checker { directory, policy: &directory.policy, problems: Vec::new() };
    checker.users();
    checker.trees();
    checker.units();
    checker.install();
    checker.known();
    checker.backstop();
    checker.files();
    checker.problems
}

struct Checker<'d> {
    directory: &'d Directory,
    policy: &'d Policy,
    problems: Vec<Diagnostic>,
}

/// Users that Debian's packages make and that no policy's people are called.
const SYSTEM_USERS: [&str; 21] = [
    "root",
    "daemon",
    "bin",
    "sys",
    "sync",
    "games",
    "man",
    "lp",
    "mail",
    "news",
    "uucp",
    "proxy",
    "www-data",
    "backup",
    "list",
    "irc",
    "nobody",
    "messagebus",
    "sshd",
    "_apt",
    "docker",
];

impl Checker<'_> {
    fn report(&mut self, rule: &'static Rule, path: &[Step<'_>], message: String) -> &mut Diagnostic {
        let file = &self.policy.file;
        let problem = Diagnostic::new(rule, file, file.at(path), message);
        self.problems.push(problem);
        self.problems.last_mut().expect("one was just pushed")
    }

    /// Reports that the value at `path` is the same as that at `first`.
    fn twice(&mut self, rule: &'static Rule, path: &[Step<'_>], first: &[Step<'_>], message: String) {
        let first = self.policy.file.at(first);
        self.report(rule, path, message).related.push((first, "the first one".to_owned()));
    }

    fn users(&mut self) {
        for (index, user) in self.policy.users.iter().enumerate() {
            let at = |key: &'static str| [Step::from("user"), index.into(), key.into()];
            let before = &self.policy.users[..index];
            let first = |other: usize, key: &'static str| [Step::from("user"), other.into(), key.into()];
            if let Some(other) = before.iter().position(|other| other.name == user.name) {
                let message = format!("two users are called `{}`", user.name);
                self.twice(DUPLICATE_NAME, &at("name"), &first(other, "name"), message);
            }
            if let Some(other) = before.iter().position(|other| other.uid == user.uid) {
                let message = format!("two users have the number {}, and so the same slice", user.uid);
                self.twice(DUPLICATE_NAME, &at("uid"), &first(other, "uid"), message);
            }
            if SYSTEM_USERS.contains(&&*user.name) || user.name.starts_with("systemd-") {
                let message = format!("`{}` is a user of the system", user.name);
                self.report(SYSTEM_USER, &at("name"), message);
            }
            if !(1000..=60_000).contains(&user.uid) {
                let message = format!("{} is a number of the system's: people have 1000 to 60000", user.uid);
                self.report(SYSTEM_USER, &at("uid"), message);
            }
        }
    }

    /// Reports a template where a unit must be that runs.
    fn runs(&mut self, unit: &UnitName, at: &[Step<'_>]) {
        if unit.is_template() {
            let message = format!("`{unit}` is a template: only its instances run");
            let instance = format!("{}alice.{}", unit.stem(), unit.unit_type());
            self.report(TEMPLATE, at, message).help.push(format!("write an instance such as {instance}"));
        }
        if unit.starts_with("bulkhead") {
            self.report(HARNESS_UNIT, at, format!("`{unit}` is a unit of the harness"));
        }
    }

    fn units(&mut self) {
        let policy = self.policy;
        let lists: [(&str, &str, &[UnitName]); 3] = [
            ("units", "enable", &policy.units.enable),
            ("units", "stub", &policy.units.stub),
            ("protect", "units", &policy.protect.units),
        ];
        for (table, key, units) in lists {
            for (index, unit) in units.iter().enumerate() {
                let at = |index: usize| [Step::from(table), key.into(), index.into()];
                if let Some(first) = units[..index].iter().position(|other| other == unit) {
                    self.twice(DUPLICATE_NAME, &at(index), &at(first), format!("`{unit}` is named twice"));
                }
                // A stub may take the place of a whole template.
                if key != "stub" {
                    self.runs(unit, &at(index));
                }
            }
        }
        for (index, unit) in
            policy.units.stub.iter().enumerate().filter(|(_, unit)| unit.unit_type() != "service")
        {
            let message = format!("`{unit}` cannot be a service that sleeps: only a .service is stubbed");
            self.report(
                crate::reading::rule::WRONG_TYPE,
                &["units".into(), "stub".into(), index.into()],
                message,
            );
        }
    }

    fn install(&mut self) {
        let Some(command) =
            self.policy.install.first().filter(|word| word.contains('/') && !word.starts_with('/'))
        else {
            return;
        };
        let at: [Step<'_>; 2] = ["install".into(), 0.into()];
        let path = format!("/{}", command.trim_start_matches("./"));
        match self.directory.beside.entries.get(&path) {
            Some(Entry::File { mode, .. }) if mode & 0o100 == 0 => {
                let message = format!("`{command}` cannot be executed");
                self.report(INSTALL_MISSING, &at, message).help.push(format!("chmod +x {command}"));
            }
            Some(Entry::File { .. } | Entry::Link { .. }) => {}
            Some(Entry::Directory { .. }) | None => {
                self.report(
                    INSTALL_MISSING,
                    &at,
                    format!("there is no file `{command}` in the policy directory"),
                );
            }
        }
    }

    fn known(&mut self) {
        let policy = self.policy;
        for (index, known) in policy.known.iter().enumerate() {
            let at = |index: usize, key: &'static str| [Step::from("known"), index.into(), key.into()];
            if let Some(first) = policy.known[..index].iter().position(|other| other.case == known.case) {
                let message = format!("`{}` is known twice", known.case);
                self.twice(DUPLICATE_NAME, &at(index, "case"), &at(first, "case"), message);
            }
            if policy.tree(&known.case.tree).is_none() {
                let trees: Vec<_> = policy.trees.iter().map(|tree| &*tree.id).collect();
                let near = nearest(&known.case.tree, trees.iter().copied());
                let case = near.map(|tree| {
                    known.case.to_string().replace(&format!("@{}", known.case.tree), &format!("@{tree}"))
                });
                let message = format!("there is no [tree.{}] in this policy", known.case.tree);
                let file = &policy.file;
                let problem = Diagnostic::new(UNKNOWN_NAME, file, file.at(&at(index, "case")), message);
                self.problems.push(problem.did_you_mean(case, true));
            }
            if known.findings.is_empty() {
                let message = format!("`{}` is known to fail without a finding", known.case);
                self.report(NOTHING_KNOWN, &at(index, "findings"), message);
            }
        }
    }

    fn backstop(&mut self) {
        let marks: &[&str] = match self.policy.backstop {
            Backstop::None => return,
            Backstop::Earlyoom => &["/default/earlyoom", "/sysconfig/earlyoom", "/earlyoom.service"],
            Backstop::SystemdOomd => &["/oomd.conf", "/systemd-oomd.service"],
        };
        let opts_in = |path: &str| {
            let text = self.directory.root.file(path).unwrap_or_default();
            path.contains("/systemd/") && text.windows(10).any(|words| words == b"ManagedOOM")
        };
        let mut files = self.directory.root.files();
        let oomd = self.policy.backstop == Backstop::SystemdOomd;
        let there = files.any(|path| marks.iter().any(|mark| path.contains(mark)) || (oomd && opts_in(path)));
        if !there && self.policy.install.is_empty() {
            let killer = crate::reading::word(self.policy.backstop);
            let message = format!("{killer} is the backstop, and root/ has no setting of it");
            self.report(BACKSTOP_FILES, &["backstop".into(), "killer".into()], message);
        }
    }

    fn files(&mut self) {
        let base = self.directory.path.join(super::ROOT);
        for path in self.directory.root.files() {
            let place = Source::plain(&format!("{}{path}", base.display()), "");
            if path.starts_with("/run/") || path.starts_with("/tmp/") {
                let message = format!("{path} is gone when the guest has booted");
                self.problems.push(Diagnostic::new(LOST_AT_BOOT, &place, 0..0, message));
            }
            if path.contains("/systemd/system/bulkhead") {
                let message = format!("{path} is a unit of the harness");
                self.problems.push(Diagnostic::new(HARNESS_UNIT, &place, 0..0, message));
            }
        }
        for size in sizes(&self.directory.root).iter().filter(|size| size.bytes > self.policy.machine.memory)
        {
            // Swap is no part of the memory.
            if size.of.contains("Swap") || size.of == "-S" {
                continue;
            }
            let text = self.directory.root.file(&size.place.path).unwrap_or_default();
            let source = Source::plain(
                &format!("{}{}", base.display(), size.place.path),
                &String::from_utf8_lossy(text),
            );
            let message =
                format!("{} of {} is above the machine's {}", size.of, size.text, self.policy.machine.memory);
            self.problems.push(Diagnostic::new(ABOVE_MACHINE, &source, size.span.clone(), message));
        }
        if self.directory.root.is_empty() && self.policy.install.is_empty() {
            self.report(NOTHING_INSTALLED, &[], "the policy installs nothing".to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
