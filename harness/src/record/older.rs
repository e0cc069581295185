//! Heads of records as earlier releases wrote them → as this one reads them.

use serde_json::{Value, json};

/// Brings a head up to date, whatever release wrote it.
pub(super) fn convert(head: &mut Value) {
    if let Some(daemons) = head["plan"].get_mut("daemons") {
        followed(daemons);
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
