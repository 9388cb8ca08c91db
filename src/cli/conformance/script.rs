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
