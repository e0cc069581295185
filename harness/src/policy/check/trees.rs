//! Trees: each a cgroup of its own, and a way in that leads into it as far as names tell.

use super::{Checker, ELSEWHERE, NO_INSTANCE, NO_WORK_TREE, SHARED_CGROUP};
use crate::cgroupfs::CgroupPath;
use crate::notation::UnitName;
use crate::notation::suggest::nearest;
use crate::policy::{Entrance, Tree, user_slice};
use crate::reading::diagnostic::Diagnostic;
use crate::reading::places::Step;
use crate::reading::rule::UNKNOWN_NAME;
use crate::scenario::TreeRole;
use crate::unit_name::slice_cgroup;

impl Checker<'_> {
    pub(super) fn trees(&mut self) {
        let policy = self.policy;
        for (index, tree) in policy.trees.iter().enumerate() {
            let at: [Step<'_>; 3] = ["tree".into(), (&*tree.id).into(), "cgroup".into()];
            let same = |other: &&Tree| match (other.cgroup.cgroup(), tree.cgroup.cgroup()) {
                (Some(one), Some(two)) => one == two,
                _ => other.cgroup == tree.cgroup,
            };
            if let Some(other) = policy.trees[..index].iter().find(same) {
                let message = format!("the trees `{}` and `{}` are the same cgroup", other.id, tree.id);
                let first: [Step<'_>; 3] = ["tree".into(), (&*other.id).into(), "cgroup".into()];
                self.twice(SHARED_CGROUP, &at, &first, message);
            }
            if let Some(unit) = tree.cgroup.unit() {
                self.runs(unit, &at);
            }
            self.entrance(tree);
        }
        if !policy.trees.iter().any(|tree| tree.role == TreeRole::Work) {
            self.report(
                NO_WORK_TREE,
                &["tree".into()],
                "no tree is for work: nothing is put under stress".to_owned(),
            );
        }
    }

    fn entrance(&mut self, tree: &Tree) {
        let at = |key: &'static str| [Step::from("tree"), Step::Key(&tree.id), "enter".into(), key.into()];
        match &tree.enter {
            Entrance::Ssh(name) => match self.policy.user(name) {
                Some(user) => {
                    let slice = user_slice(user.uid);
                    self.leads_into(tree, slice.as_ref(), &at("ssh"), &format!("a login of `{name}`"));
                }
                None => self.unknown_user(name, &at("ssh")),
            },
            Entrance::Instance(unit) => {
                self.runs(unit, &at("instance"));
                if unit.instance().is_none() {
                    let message = format!("`{unit}` is no instance of a template");
                    self.report(NO_INSTANCE, &at("instance"), message)
                        .help
                        .push("write `service = ...`".to_owned());
                }
                self.is_the_tree(tree, unit, &at("instance"));
            }
            Entrance::Service(unit) => {
                self.runs(unit, &at("service"));
                self.is_the_tree(tree, unit, &at("service"));
            }
            Entrance::Scope(slice) => {
                self.leads_into(tree, Some(slice), &at("scope"), &format!("a scope in `{slice}`"));
            }
            Entrance::Docker => {}
        }
    }

    fn unknown_user(&mut self, name: &str, at: &[Step<'_>]) {
        let known: Vec<_> = self.policy.users.iter().map(|user| &*user.name).collect();
        let near = nearest(name, known.iter().copied());
        let file = &self.policy.file;
        let message = format!("there is no [[user]] called `{name}`");
        let mut problem = Diagnostic::new(UNKNOWN_NAME, file, file.at(at), message).did_you_mean(near, true);
        if problem.replacement.is_none() {
            problem = problem.help(format!("add a [[user]] with name = \"{name}\" and its uid"));
        }
        self.problems.push(problem);
    }

    /// What runs in `slice` must be in the tree, where names tell it.
    fn leads_into(&mut self, tree: &Tree, slice: Option<&UnitName>, at: &[Step<'_>], what: &str) {
        let lands = slice.and_then(|slice| slice_cgroup(slice).ok());
        let inside = |cgroup: CgroupPath| lands.as_ref().is_none_or(|lands| cgroup.contains(lands));
        if tree.cgroup.cgroup().is_none_or(inside) {
            return;
        }
        let lands = slice.map(ToString::to_string).unwrap_or_default();
        self.report(ELSEWHERE, at, format!("{what} runs below {lands}, not in {}", tree.cgroup));
    }

    /// A service holds no other unit.
    fn is_the_tree(&mut self, tree: &Tree, unit: &UnitName, at: &[Step<'_>]) {
        if let Some(cgroup) =
            tree.cgroup.unit().filter(|cgroup| cgroup.unit_type() == "service" && *cgroup != unit)
        {
            self.report(
                ELSEWHERE,
                at,
                format!("`{unit}` does not run in `{cgroup}`: a service holds no other"),
            );
        }
    }
}
