//! The page for the metrics of webhook, store and monitor: name, type, labels and meaning.

use std::fmt::Write as _;

use prometheus_client::registry::Registry;

use crate::markdown::{cell, code, head, row};

/// A metric in the encoding of its registry.
struct Metric {
    name: String,
    type_: String,
    labels: Vec<String>,
    help: String,
}

/// The page.
pub(crate) fn page() -> String {
    let mut page = head("Metrics", "the registries");
    page += "Webhook, store and monitor serve metrics in the OpenMetrics text format at `/metrics` on port 8080.\n\n";
    let webhook = bootlace::webhook::metrics::WebhookMetrics::with_examples();
    let store = bootlace::store::metrics::StoreMetrics::with_examples();
    let (webhook, store) = (metrics(webhook.as_ref()), metrics(store.as_ref()));
    let in_both = |metric: &&Metric| store.iter().any(|other| other.name == metric.name);
    section(&mut page, "Webhook and store", webhook.iter().filter(in_both));
    section(&mut page, "Webhook", webhook.iter().filter(|metric| !in_both(metric)));
    section(
        &mut page,
        "Store",
        store.iter().filter(|metric| !webhook.iter().any(|other| other.name == metric.name)),
    );
    let monitor = bootlace::monitor::metrics::MonitorMetrics::with_examples();
    let monitor = metrics(monitor.as_ref());
    let is_own = |metric: &&Metric| !webhook.iter().any(|other| other.name == metric.name);
    section(&mut page, "Monitor", monitor.iter().filter(is_own));
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn section<'m>(page: &mut String, title: &str, metrics: impl Iterator<Item = &'m Metric>) {
    writeln!(page, "## {title}\n| metric | type | labels | meaning |\n|---|---|---|---|").unwrap();
    for metric in metrics {
        let labels: Vec<_> = metric.labels.iter().map(|label| code(label)).collect();
        page.push_str(&row(&[
            code(&metric.name),
            metric.type_.clone(),
            labels.join(", "),
            cell(&metric.help),
        ]));
    }
    page.push('\n');
}

/// The metrics of a registry. Each must have a series.
fn metrics(registry: &Registry) -> Vec<Metric> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            let (type_, labels) = (String::new(), Vec::new());
            metrics.push(Metric { name: name.to_owned(), type_, labels, help: help.to_owned() });
        } else if let Some((_, type_)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let metric = metrics.last_mut().unwrap();
            type_.clone_into(&mut metric.type_);
            metric.name += match type_ {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
        } else if let Some((_, labels)) =
            line.strip_prefix('#').is_none().then(|| line.split_once('{')).flatten()
        {
            let metric = metrics.last_mut().unwrap();
            if metric.labels.is_empty() {
                let names =
                    labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name);
                // The limit of a bucket is part of the histogram format.
                metric.labels = names.filter(|name| *name != "le").map(str::to_owned).collect();
            }
        }
    }
    // A family without a series is not encoded, so one that `with_examples` forgets would be missing.
    let registered = format!("{registry:?}").matches("Descriptor {").count();
    assert_eq!(metrics.len(), registered, "a metric has no example in `with_examples`:\n{text}");
    metrics
}
