//! What stories expect of the controller's answers.

use longshore_lab::controller::Answer;
use serde_json::Value;

/// Fails with all that was said unless the run ended with this exit code.
#[track_caller]
pub(crate) fn ended(answer: &Answer, code: i32) {
    assert_eq!(answer.code, Some(code), "{}", answer.all());
    if let Some(result) = answer.result() {
        assert_eq!(
            result["exit"],
            code,
            "the last line and the exit code differ: {}",
            answer.all()
        );
        assert_eq!(result["ok"], code == 0, "{}", answer.all());
    } else {
        assert!(answer.events.is_empty(), "no result line: {}", answer.all());
    }
}

/// The outcome of each host, in the inventory's order.
pub(crate) fn outcomes(answer: &Answer) -> Vec<(String, String)> {
    hosts(answer)
        .iter()
        .map(|host| (text(host, "host"), text(host, "outcome")))
        .collect()
}

/// The outcomes alone.
pub(crate) fn kinds(answer: &Answer) -> Vec<String> {
    outcomes(answer)
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect()
}

/// The hosts of the last line.
pub(crate) fn hosts(answer: &Answer) -> Vec<Value> {
    answer
        .result()
        .and_then(|result| result["hosts"].as_array().cloned())
        .unwrap_or_default()
}

/// The version of an app on each host that `status` names.
pub(crate) fn live(status: &Answer, app: &str) -> Vec<String> {
    hosts(status)
        .iter()
        .filter_map(|host| host["apps"].as_array().cloned())
        .flatten()
        .filter(|entry| entry["app"] == app)
        .map(|entry| text(&entry, "version"))
        .collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
