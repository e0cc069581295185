//! Heads of records as earlier releases wrote them → as this one reads them.

use serde_json::{Value, json};

use crate::notation::percent::Percent;
use crate::notation::span::Span;

/// Brings a head up to date, whatever release wrote it.
pub(super) fn convert(head: &mut Value) {
    if let Some(daemons) = head["plan"].get_mut("daemons") {
        followed(daemons);
    }
    if head["minor"].as_u64().unwrap_or(0) < 2
        && let Some(plan) = head.get_mut("plan").filter(|plan| plan.is_object())
    {
        typed(plan);
    }
    if let Some(host) = head["host"].as_object_mut() {
        let mut running = serde_json::Map::new();
        for (fact, killer) in [("systemd_oomd_active", "systemd-oomd"), ("earlyoom_active", "earlyoom")] {
            running.extend(
                host.remove(fact).filter(Value::is_boolean).map(|active| (killer.to_owned(), active)),
            );
        }
        host.entry("killers").or_insert(Value::Object(running));
    }
}

/// Two daemons had fields of their own, where a list of any stands now.
fn followed(daemons: &mut Value) {
    let Some(old) = daemons.as_object_mut() else { return };
    let machines = |killer: &str, unit: &str| json!({ "killer": killer, "unit": unit, "start": null });
    let mut list = Vec::new();
    if old.get("oomd") == Some(&Value::Bool(true)) {
        list.push(machines("systemd-oomd", "systemd-oomd.service"));
    }
    if old.get("machine_earlyoom") == Some(&Value::Bool(true)) {
        list.push(machines("earlyoom", "earlyoom.service"));
    }
    if let Some(Value::Object(mut start)) = old.remove("earlyoom") {
        let unit = start.remove("unit");
        list.push(json!({ "killer": "earlyoom", "unit": unit, "start": start }));
    }
    *daemons = Value::Array(list);
}

/// Properties stood as D-Bus has them, and how many processes an actor has stood in its command line alone.
fn typed(plan: &mut Value) {
    plan.get_mut("slice").map(assignments);
    for daemon in plan.get_mut("daemons").and_then(Value::as_array_mut).into_iter().flatten() {
        daemon.get_mut("start").map(assignments);
    }
    for part in ["outer", "cgroups", "actors"] {
        plan.get_mut(part).and_then(Value::as_array_mut).into_iter().flatten().for_each(assignments);
    }
    for actor in plan.get_mut("actors").and_then(Value::as_array_mut).into_iter().flatten() {
        let words = actor["argv"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let number = words.filter_map(|word| word.strip_prefix("--processes=")?.parse::<u32>().ok()).next();
        actor["processes"] = number.unwrap_or(1).into();
    }
}

/// The properties of a unit, each as its assignment.
fn assignments(unit: &mut Value) {
    for property in unit.get_mut("properties").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(text) = property["name"].as_str().and_then(|name| assignment(name, &property["value"])) {
            *property = text.into();
        }
    }
}

fn assignment(name: &str, value: &Value) -> Option<String> {
    let number = ["u64", "u32", "i32"].iter().find_map(|kind| value.get(kind));
    let share = || {
        let scaled = number?.as_u64()?.saturating_mul(10_000) + u64::from(u32::MAX / 2);
        Some(Percent(u32::try_from(scaled / u64::from(u32::MAX)).ok()?))
    };
    Some(match (name, number.and_then(Value::as_u64)) {
        ("ManagedOOMMemoryPressureLimit", _) => format!("{name}={}", share()?),
        ("CPUQuotaPerSecUSec", Some(us)) => format!("CPUQuota={}", Percent(u32::try_from(us / 100).ok()?)),
        (_, Some(u64::MAX)) => format!("{name}=infinity"),
        (_, Some(us)) if name.ends_with("USec") => {
            format!("{}Sec={}", name.trim_end_matches("USec"), Span(us))
        }
        _ if name.ends_with("Scale") => format!("{}={}", name.trim_end_matches("Scale"), share()?),
        _ => match number {
            Some(number) => format!("{name}={number}"),
            None => format!("{name}={}", value["str"].as_str()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::property::Property;
    use crate::record::Record;

    #[test]
    fn daemons_with_fields_of_their_own_become_a_list() {
        let own = json!({ "unit": "bulkhead-r1-earlyoom.service", "slice": "system.slice", "argv": [] });
        let mut head = json!({
            "plan": { "daemons": { "oomd": true, "machine_earlyoom": false, "earlyoom": own } },
            "host": { "systemd_oomd_active": true, "earlyoom_active": null },
        });
        convert(&mut head);
        let start = json!({ "slice": "system.slice", "argv": [] });
        assert_eq!(
            head,
            json!({
                "plan": { "daemons": [
                    { "killer": "systemd-oomd", "unit": "systemd-oomd.service", "start": null },
                    { "killer": "earlyoom", "unit": "bulkhead-r1-earlyoom.service", "start": start },
                ] },
                "host": { "killers": { "systemd-oomd": true } },
            })
        );
        let once = head.clone();
        convert(&mut head);
        assert_eq!(head, once);
    }

    #[rstest]
    #[case("MemoryMax", json!({ "u64": 536_870_912_u64 }), "MemoryMax=512M")]
    #[case("MemorySwapMax", json!({ "u64": u64::MAX }), "MemorySwapMax=infinity")]
    #[case("MemoryHighScale", json!({ "u32": 2_147_483_648_u32 }), "MemoryHigh=50%")]
    #[case("TasksMaxScale", json!({ "u32": u32::MAX }), "TasksMax=100%")]
    #[case("CPUQuotaPerSecUSec", json!({ "u64": 1_500_000 }), "CPUQuota=150%")]
    #[case("CPUWeight", json!({ "u64": 300 }), "CPUWeight=300")]
    #[case(
        "ManagedOOMMemoryPressureLimit",
        json!({ "u32": 214_748_365 }),
        "ManagedOOMMemoryPressureLimit=5%"
    )]
    #[case(
        "ManagedOOMMemoryPressureDurationUSec",
        json!({ "u64": 2_000_000 }),
        "ManagedOOMMemoryPressureDurationSec=2s"
    )]
    #[case("RuntimeMaxUSec", json!({ "u64": 90_000_000 }), "RuntimeMaxSec=90s")]
    #[case("OOMScoreAdjust", json!({ "i32": -100 }), "OOMScoreAdjust=-100")]
    #[case("OOMPolicy", json!({ "str": "continue" }), "OOMPolicy=continue")]
    fn a_property_of_minor_1_is_read_as_it_was_meant(
        #[case] name: &str,
        #[case] value: Value,
        #[case] meant: &str,
    ) {
        let read = assignment(name, &value).expect("an assignment").parse::<Property>();
        assert_eq!(read.map(String::from), Ok(meant.to_owned()));
    }

    #[test]
    fn an_actors_processes_are_those_of_its_command_line() {
        let mut plan =
            json!({ "actors": [{ "argv": ["balloon", "--processes=4"] }, { "argv": ["bystander"] }] });
        typed(&mut plan);
        assert_eq!(
            (&plan["actors"][0]["processes"], &plan["actors"][1]["processes"]),
            (&json!(4), &json!(1))
        );
    }

    #[test]
    fn a_record_of_the_first_release_has_its_plan() {
        let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records/hard-cap-kill.trixie");
        let plan = Record::load(&saved).expect("a record").head.plan.expect("a plan");
        let texts =
            |properties: &[Property]| -> Vec<String> { properties.iter().map(ToString::to_string).collect() };
        assert_eq!(texts(&plan.cgroups[0].properties), ["MemoryMax=512M", "MemorySwapMax=0"]);
        assert_eq!(texts(&plan.actors[0].properties), ["RuntimeMaxSec=90s", "TimeoutStopSec=2s"]);
    }
}
