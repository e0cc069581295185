//! A scenario whose twin cannot turn red, or that has none, proves nothing.

use super::Checker;

pub(super) fn check(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    if scenario.twins.is_empty() {
        let message = "no [[twin]] breaks this on purpose: nothing shows that it can fail";
        if scenario.tags.iter().any(|tag| *tag == *"core") {
            checker.error(&["tags".into()], message).help.push("a core scenario needs a twin".to_owned());
        } else {
            checker.warn(&["title".into()], message);
        }
    }
    for (index, twin) in scenario.twins.iter().enumerate() {
        let path = ["twin".into(), index.into(), "id".into()];
        let nothing = twin.set.is_empty() && twin.drop.is_empty() && twin.added.is_empty();
        if nothing {
            checker.error(&path, format!("twin `{}` breaks nothing", twin.id)).help.push(
                "it needs `set`, `drop` or [[twin.actor]]; `requires` alone changes the machine".to_owned(),
            );
        }
        let dropped = twin.drop.iter().find(|id| reached_needs(checker, id));
        if let Some(id) = dropped {
            checker.error(&path, format!("twin `{}` drops `{id}`, which [reached] watches", twin.id));
        }
    }
}

fn reached_needs(checker: &Checker<'_>, id: &str) -> bool {
    use crate::scenario::metric::Subject;
    matches!(&checker.scenario.reached.metric.subject, Subject::Actor(actor) if *actor == *id)
}
