//! Tests the corpus (`tests/corpus`) with a real API server: each pod that it accepts without Bootlace, it
//! also accepts injected, with the same fields, QoS class and requests, whatever the namespace enforces.
//!
//! `UPDATE=1` writes the fields of a pod (`tests/corpus/fields.txt`) and the table in `docs/corpus.md`.
//! Without it, the scenario fails if they are not up to date.

mod api;
#[path = "../../../../corpus/fields.rs"]
mod fields;
#[path = "../../../../corpus/kept.rs"]
mod kept;
mod offline;
#[path = "../../../../corpus/pods.rs"]
mod pods;
mod requests;
mod row;
mod rules;
mod table;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::images::root;
use bootlace_cluster::scenario::release::LABEL;
use bootlace_cluster::scenario::{Namespace, Scenario, scenario};
use fields::Fields;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pods::Entry;
use row::Row;
use rules::Rules;
use serde_json::Value;
use table::Table;

/// The number of concurrent requests, so that neither the API server nor the webhook is idle.
const CONCURRENCY: usize = 8;
/// The fields of a pod, from the schema of the API server.
const FIELDS: &str = "tests/corpus/fields.txt";

#[tokio::test]
async fn pods_that_the_api_server_accepts_are_accepted_injected_at_each_security_level() -> Result<()> {
    rules::with_objects_of_the_cluster(compare_all).await
}

async fn compare_all() -> Result<()> {
    let corpus = pods::read(&root().join("tests/corpus"));
    let fields = Fields::parse(&std::fs::read_to_string(root().join(FIELDS))?);
    let (mut table, mut problems) = (Table::default(), Vec::new());
    for rules in Rules::ALL {
        // No release selects the first namespace: its pods are not injected.
        let plain = labelled(scenario("corpus-plain").label(LABEL, "nobody"), rules);
        let injected = labelled(scenario("corpus"), rules);
        let mut compare = async |plain: &Namespace, injected: &Namespace| {
            let pair = Pair { plain, injected, rules };
            for row in pair.compare(&corpus, &fields).await? {
                problems
                    .extend(row.problems.iter().map(|problem| format!("{rules}, {}: {problem}", row.title)));
                table.add(rules, &row);
            }
            if rules == Rules::None {
                problems.extend(offline::compare(plain, injected, &corpus).await?);
                problems.extend(start(injected, &corpus).await?);
            }
            Ok(())
        };
        injected.run(async |injected| plain.run(async |plain| compare(plain, injected).await).await).await?;
    }
    println!("{table}");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    check_or_update(&root().join("docs/corpus.md"), |page| table.replace_in(page))
}

#[tokio::test]
async fn the_fields_of_a_pod_are_those_in_the_schema_of_the_api_server() -> Result<()> {
    scenario("corpus-fields")
        .run(async |namespace| {
            let request = http::Request::get("/openapi/v3/api/v1").body(Vec::new())?;
            let document: Value = namespace.client().request(request).await?;
            let fields = Fields::from_document(&document).to_string();
            check_or_update(&root().join(FIELDS), |_| fields)
        })
        .await
}

/// Checks that `expected` does not change the content of a file. With `UPDATE`, writes the file instead.
fn check_or_update(file: &Path, expected: impl FnOnce(&str) -> String) -> Result<()> {
    let content = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let expected = expected(&content);
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(file, expected).with_context(|| format!("write {}", file.display()));
    }
    ensure!(content == expected, "{} is not up to date: run this scenario with UPDATE=1", file.display());
    Ok(())
}

fn labelled(scenario: Scenario, rules: Rules) -> Scenario {
    match rules.standard() {
        Some(standard) => scenario.label("pod-security.kubernetes.io/enforce", standard),
        None => scenario,
    }
}

/// Two namespaces, of which only one has injected pods.
struct Pair<'n> {
    plain: &'n Namespace,
    injected: &'n Namespace,
    rules: Rules,
}

impl Pair<'_> {
    async fn compare(&self, corpus: &[Entry], fields: &Fields) -> Result<Vec<Row>> {
        for namespace in [self.plain, self.injected] {
            rules::prepare(namespace, self.rules).await?;
        }
        let rows = stream::iter(corpus).map(|entry| self.compare_one(entry));
        let mut rows: Vec<_> = rows.buffered(CONCURRENCY).try_collect().await?;
        rows.iter_mut().zip(corpus).for_each(|(row, entry)| row.count_fields(entry, fields));
        Ok(rows)
    }

    async fn compare_one(&self, entry: &Entry) -> Result<Row> {
        let pod = if self.rules == Rules::Restricted { &pods::hardened(&entry.pod) } else { &entry.pod };
        let before = api::dry_run(self.plain, pod).await?;
        let after = api::dry_run(self.injected, pod).await?;
        Ok(Row::new(entry, self.rules == Rules::None, before, &after))
    }
}

/// Starts the pods that are marked to run, and returns an error for each that does not succeed.
async fn start(namespace: &Namespace, corpus: &[Entry]) -> Result<Vec<String>> {
    let running = corpus.iter().filter(|entry| entry.runs).map(async |entry| {
        let ended = run(namespace, &entry.pod).await;
        ended.err().map(|error| format!("{}, after the start: {error:#}", entry.title))
    });
    let failed: Vec<_> = stream::iter(running).buffer_unordered(CONCURRENCY).collect().await;
    Ok(failed.into_iter().flatten().collect())
}

async fn run(namespace: &Namespace, pod: &Value) -> Result<()> {
    let name = pod["metadata"]["name"].as_str().context("the pod has no name")?;
    namespace.create(&pod.to_string()).await?;
    namespace.pod_succeeded(name).await.map(drop)
}
