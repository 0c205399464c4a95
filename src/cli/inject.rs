//! `bootlace inject`: manifests in, injected manifests out, without a cluster.

use anyhow::bail;

use super::manifest::{self, Document};
use super::offline::{explain_refusal, warnings};
use bootlace_core::admission::{self, Decision};
use bootlace_core::plan::PreparedProfiles;

/// Arguments of `bootlace inject`.
#[derive(Debug, clap::Args)]
pub(super) struct InjectArgs {
    #[command(flatten)]
    offline: super::offline::Offline,
}

pub(super) fn run(args: &InjectArgs) -> anyhow::Result<()> {
    let recipes = args.offline.load()?;
    let mut out = String::new();
    for file in &args.offline.files {
        let text = manifest::read(file)?;
        for document in manifest::documents(&text)? {
            if !out.is_empty() {
                out.push_str("---\n");
            }
            out.push_str(&inject(&document, &recipes)?);
        }
    }
    print!("{out}");
    Ok(())
}

/// The document, injected where it holds a task; else as it was written, to the byte.
fn inject(document: &Document<'_>, recipes: &PreparedProfiles) -> anyhow::Result<String> {
    let mut value = document.value.clone();
    let mut changed = false;
    for found in manifest::pods(&mut value) {
        match admission::admit(found.pod.clone(), found.namespace.as_str(), recipes) {
            // A pod that still names keys would wait for objects of such names for ever.
            Decision::Inject(injection) if !injection.left.is_empty() => bail!(
                "{}: what it takes from earlier tasks is known to the cluster alone, so it cannot be injected here. Apply \
                 the manifest as it is:\n  {}",
                found.place,
                injection.left.join("\n  ")
            ),
            Decision::Inject(injection) => {
                for warning in warnings(&found, &injection) {
                    eprintln!("{}: {warning}", found.place);
                }
                *found.pod = injection.pod;
                changed = true;
            }
            Decision::Reorder(reordering) => {
                *found.pod = reordering.pod;
                changed = true;
            }
            Decision::Skip(skip) => eprintln!("{}: left alone: {skip}", found.place),
            Decision::Refuse(refusal) => bail!("{}: {}", found.place, explain_refusal(&found, &refusal)),
        }
    }
    if changed { document.write(&value) } else { Ok(document.text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootlace_core::plan::InstallationSettings;
    use bootlace_core::profile::Profile;

    fn injected(text: &str) -> String {
        let profile = Profile { name: "default".to_owned(), ..Profile::default() };
        let recipes =
            PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
        manifest::documents(text)
            .unwrap()
            .iter()
            .map(|document| inject(document, &recipes).unwrap())
            .collect::<Vec<_>>()
            .join("---\n")
    }

    #[test]
    fn other_documents_pass_to_the_byte() {
        let text = "# a comment\nkind:   ConfigMap\ndata: {a:  'yes'}\n---\n# nothing here\n---\nkind: Service # two\n";
        assert_eq!(injected(text), text);
    }

    #[test]
    fn a_pod_keeps_what_yaml_1_1_means() {
        let text = "\
kind: Pod
metadata: {name: a, labels: {bootlace.dev/task: 'true', version: '1.10', on: 'yes'}}
spec:
  containers: [{name: main, command: [run, '0644', 'null', '', \"line\\nline\"]}]
  volumes: [{name: settings, configMap: {name: settings, defaultMode: 0644}}]
";
        let out = injected(text);
        let value: serde_json::Value = serde_saphyr::from_str(&out).unwrap();
        assert_eq!(value.pointer("/spec/volumes/0/configMap/defaultMode").unwrap(), 0o644);
        assert_eq!(value.pointer("/metadata/labels/version").unwrap(), "1.10");
        let command = value.pointer("/spec/containers/0/command").unwrap().as_array().unwrap();
        assert_eq!(command[4..], ["run", "0644", "null", "", "line\nline"]);
    }

    #[test]
    fn pod_templates_are_found_wherever_they_are() {
        for (kind, before, after) in [
            ("Job", "spec: {template: ", "}"),
            ("CronJob", "spec: {jobTemplate: {spec: {template: ", "}}}"),
            ("Deployment", "spec: {template: ", "}"),
            ("StatefulSet", "spec: {template: ", "}"),
            ("DaemonSet", "spec: {template: ", "}"),
            ("JobSet", "spec: {replicatedJobs: [{name: a, template: {spec: {template: ", "}}}]}"),
        ] {
            let pod = "{metadata: {labels: {bootlace.dev/task: 'true'}}, spec: {containers: [{name: a, command: [a]}]}}";
            let out = injected(&format!("kind: {kind}\n{before}{pod}{after}\n"));
            assert!(out.contains("bootlace-boot"), "{kind}: {out}");
        }
    }

    #[test]
    fn what_a_template_cannot_know_yet_is_said() {
        let refused = |text: &str, value: &str| {
            let spec = serde_json::json!({"sources": [{"name": "s", "inline": {"env": {"A": value}}}]});
            let profile = Profile::new("default", 0, serde_json::from_value(spec).unwrap()).unwrap();
            let recipes =
                PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default())
                    .unwrap();
            inject(&manifest::documents(text).unwrap()[0], &recipes).unwrap_err().to_string()
        };
        let pod = "{metadata: {labels: {bootlace.dev/task: 'true'}}, spec: {containers: [{name: a, command: [a]}]}}";
        let job = format!("kind: Job\nmetadata: {{name: etl}}\nspec: {{template: {pod}}}\n");
        let cron = format!(
            "kind: CronJob\nmetadata: {{name: etl}}\nspec: {{jobTemplate: {{spec: {{template: {pod}}}}}}}\n"
        );
        for (text, kind) in [(&job, "Job"), (&cron, "CronJob")] {
            let said = refused(text, "{{ run }}");
            for part in [
                "run has no value",
                &format!("the template that the pods of {kind} etl are made from"),
                "batch.kubernetes.io/job-name",
                "kubectl get pod NAME --output yaml | bootlace explain",
            ] {
                assert!(said.contains(part), "{part} is not in: {said}");
            }
        }
        // What a template says itself is missing there for good.
        assert!(!refused(&job, "{{ env.A }}").contains("made from"));
        let pod = pod.replacen('{', "{kind: Pod, ", 1).replace('\'', "\"");
        assert!(!refused(&format!("---\n{pod}\n"), "{{ run }}").contains("made from"));
    }

    #[test]
    fn a_list_is_injected_item_by_item() {
        let pod = |name: &str, label: &str| {
            format!(
                r#"{{"kind":"Pod","metadata":{{"name":"{name}","labels":{{"bootlace.dev/task":"{label}"}}}},
                "spec":{{"containers":[{{"name":"a","command":["a"]}}]}}}}"#
            )
        };
        let out =
            injected(&format!(r#"{{"kind":"List","items":[{},{}]}}"#, pod("a", "true"), pod("b", "false")));
        let list: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(list.pointer("/items/0/spec/initContainers/0").is_some());
        assert!(list.pointer("/items/1/spec/initContainers").is_none());
    }

    #[test]
    fn what_only_a_cluster_knows_is_left_to_it() {
        let text = "kind: Pod\nmetadata: {name: a, labels: {bootlace.dev/task: 'true'}, annotations: {bootlace.dev/run: r}}\n\
                    spec: {containers: [{name: a, command: [a]}], volumes: [{name: v, secret: {secretName: 'pipe:Cert'}}]}\n";
        let profile = Profile { name: "default".to_owned(), ..Profile::default() };
        let recipes =
            PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
        let error = inject(&manifest::documents(text).unwrap()[0], &recipes).unwrap_err().to_string();
        assert!(
            error.contains(
                "Apply the manifest as it is:\n  spec.volumes[0].secret.secretName uses pipe \"Cert\" of run r, "
            ),
            "{error}"
        );
    }
}
