//! What dashboard, alerts and documentation name is there.

use std::collections::BTreeSet;

use tickwire::server::Server;

use super::metrics;

/// Every name that begins as ours do.
fn names(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("tickwire_").map(|(start, _)| &text[start..]);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    starts.map(|rest| rest.chars().take_while(|letter| is_part(*letter)).collect()).collect()
}

#[tokio::test]
async fn dashboard_and_alerts_name_what_there_is() {
    let page = metrics(&Server::builder().shards(1).detached().unwrap().handle()).await;
    let exists = |name: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let of_histogram = base.and_then(|base| page.families.get(base)).is_some_and(|kind| kind == "histogram");
        page.families.get(name).is_some_and(|kind| kind != "histogram") || of_histogram
    };
    let dashboard = include_str!("../../../../deploy/grafana/tickwire.json");
    let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let alerts = include_str!("../../../../deploy/prometheus/alerts.yml");
    for (file, text) in [("dashboard", dashboard), ("alerts", alerts)] {
        let named = names(text);
        assert!(named.len() > 10, "{file}");
        for name in named {
            assert!(exists(&name), "the {file} names {name}");
        }
    }
    // What is counted is shown.
    let shown = names(dashboard);
    for (name, kind) in &page.families {
        let name = if kind == "histogram" { format!("{name}_bucket") } else { name.clone() };
        assert!(shown.contains(&name), "no panel shows {name}");
    }
}

#[tokio::test]
async fn the_documentation_lists_every_metric() {
    let page = metrics(&Server::builder().shards(1).detached().unwrap().handle()).await;
    let text = include_str!("../../../../docs/http.md");
    for name in page.families.keys() {
        let short = name.strip_prefix("tickwire").unwrap();
        assert!(text.contains(&format!("`{name}`")) || text.contains(&format!("`{short}`")), "{name}");
    }
    for name in names(text) {
        assert!(page.families.contains_key(&name), "the documentation names {name}");
    }
}
