//! The scenarios, as every binary carries them.

use serde_json::Value;

/// `clients/conformance/scenarios.json`.
pub(super) const SCENARIOS: &str = include_str!("../../../clients/conformance/scenarios.json");

/// The scenarios' names, in order.
pub(super) fn names() -> Vec<String> {
    let scenarios: Value = serde_json::from_str(SCENARIOS).unwrap_or_default();
    let all = scenarios.as_array().into_iter().flatten();
    all.filter_map(|scenario| scenario.get("name")?.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::order::Order;
    use super::*;

    /// What a client may be unable to do.
    const NEEDS: [&str; 8] = ["reconnect", "queue", "tokens", "presence", "pause", "websocket", "http", "tcp"];

    /// A field's name, and what fits it.
    type Field<'a> = (&'a str, fn(&Value) -> bool);

    fn is_text(value: &Value) -> bool {
        value.is_string()
    }

    /// Whether a step has these fields and no others; a name that ends in `?` may be missing.
    fn has(step: &Map<String, Value>, fields: &[Field<'_>]) -> bool {
        let known = fields.iter().filter(|(name, fits)| step.get(name.trim_end_matches('?')).is_some_and(fits)).count();
        let wanted = fields.iter().filter(|(name, _)| !name.ends_with('?'));
        known == step.len() && wanted.clone().all(|(name, _)| step.contains_key(*name))
    }

    fn one_of(value: &Value, all: &[&str]) -> bool {
        value.as_str().is_some_and(|text| all.contains(&text))
    }

    fn is_state(value: &Value) -> bool {
        one_of(value, &["disconnected", "connecting", "connected", "closed"])
    }

    fn is_room_state(value: &Value) -> bool {
        one_of(value, &["left", "joining", "joined"])
    }

    fn is_outcome(value: &Value) -> bool {
        one_of(value, &["recovered", "gap", "snapshot", "any"])
    }

    fn is_error(value: &Value) -> bool {
        let kinds =
            ["connect", "protocol", "version", "token", "refused", "queue-full", "too-large", "handler", "closed"];
        one_of(value, &kinds)
    }

    fn is_texts(value: &Value) -> bool {
        value.as_array().is_some_and(|texts| texts.iter().all(is_text))
    }

    fn is_text_or_none(value: &Value) -> bool {
        value.is_string() || value.is_null()
    }

    fn is_pair(value: &Value) -> bool {
        value.as_array().is_some_and(|pair| pair.len() == 2 && pair.iter().all(is_text))
    }

    fn is_triple(value: &Value) -> bool {
        matches!(value.as_array().map(Vec::as_slice), Some([Value::String(_), Value::Number(_), Value::String(_)]))
    }

    fn is_options(value: &Value) -> bool {
        let Some(options) = value.as_object() else { return false };
        let tokens = options.get("tokens").and_then(Value::as_array).into_iter().flatten();
        let mut tokens = tokens.filter(|token| !token.is_null());
        has(options, &[("tokens?", Value::is_array), ("queue_messages?", Value::is_u64)])
            && tokens.all(|token| Order::read("/token", token.to_string().as_bytes()).is_ok())
    }

    fn expects(step: &Map<String, Value>) -> bool {
        let fields: &[Field<'_>] = match step.get("expect").and_then(Value::as_str) {
            Some("state") => &[("is", is_state), ("reason?", Value::is_u64)],
            Some("room") => &[("room", is_text), ("is", is_room_state), ("reason?", Value::is_u64)],
            Some("events") => &[("room", is_text), ("texts", is_texts)],
            Some("event") => &[("room", is_text), ("text", is_text)],
            Some("tokens") => &[("count", Value::is_u64)],
            Some("none") => &[("room", is_text)],
            Some("value") => &[("room", is_text), ("key", Value::is_u64), ("text", is_text_or_none)],
            Some("outcome") => &[("room", is_text), ("is", is_outcome)],
            Some("members") => &[("room", is_text), ("count", Value::is_u64)],
            Some("error") => &[("is", is_error)],
            _ => return false,
        };
        let mut rest = step.clone();
        rest.remove("expect");
        has(&rest, fields)
    }

    /// Whether the README knows a step.
    fn is_known(step: &Map<String, Value>) -> bool {
        let is_order = |path: &str| {
            let path = step.get(path).and_then(Value::as_str).unwrap_or_default();
            let order = Order::read(path, step.get("body").unwrap_or(&Value::Null).to_string().as_bytes());
            order.inspect_err(|wrong| panic!("{path}: {wrong}")).is_ok()
        };
        let checks = |step: &Map<String, Value>| match step.keys().find(|key| *key != "body").map(String::as_str) {
            Some("control") => is_order("control"),
            Some("verify") => is_order("verify"),
            _ => false,
        };
        let truth: fn(&Value) -> bool = |value| *value == Value::Bool(true);
        has(step, &[("connect", is_options)])
            || has(step, &[("join", is_text), ("as?", |value| one_of(value, &["publisher"]))])
            || ["leave", "pause", "unpause"].into_iter().any(|name| has(step, &[(name, is_text)]))
            || has(
                step,
                &[
                    ("publish", is_pair),
                    ("policy?", |value| one_of(value, &["reliable", "latest", "drop"])),
                    ("throws?", is_error),
                ],
            )
            || has(step, &[("set", is_triple)])
            || has(step, &[("disconnect", truth)])
            || has(step, &[("close", truth)])
            || (step.contains_key("body") && step.len() == 2 && checks(step))
            || expects(step)
    }

    #[test]
    fn every_scenario_is_one_that_a_runner_can_read() {
        let scenarios: Vec<Map<String, Value>> = serde_json::from_str(SCENARIOS).unwrap();
        for scenario in &scenarios {
            let name = scenario["name"].as_str().unwrap();
            assert!(
                has(
                    scenario,
                    &[
                        ("name", is_text),
                        ("spec", is_text),
                        ("needs", is_texts),
                        ("server", Value::is_object),
                        ("steps", Value::is_array)
                    ]
                ),
                "{name}"
            );
            assert!(scenario["needs"].as_array().unwrap().iter().all(|need| one_of(need, &NEEDS)), "{name}");
            assert!(Order::read("/reset", scenario["server"].to_string().as_bytes()).is_ok(), "{name}");
            for step in scenario["steps"].as_array().unwrap() {
                assert!(is_known(step.as_object().unwrap()), "{name}: {step}");
            }
        }
        let mut names = names();
        assert_eq!(names.len(), scenarios.len());
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), scenarios.len(), "names are unique");
    }

    #[test]
    fn steps_that_nobody_knows_are_found() {
        for wrong in [
            json!({"connect": {"token": []}}),
            json!({"connect": {"tokens": [{"subject": "ann"}]}}),
            json!({"join": "r", "as": "king"}),
            json!({"publish": ["r"]}),
            json!({"set": ["r", "1", "x"]}),
            json!({"close": false}),
            json!({"expect": "state", "is": "joined"}),
            json!({"expect": "events", "room": "r"}),
            json!({"expect": "error", "is": "sad"}),
            json!({"expect": "none", "room": "r", "texts": []}),
            json!({"dance": true}),
        ] {
            assert!(!is_known(wrong.as_object().unwrap()), "{wrong}");
        }
    }
}
