//! `bootlace inject`: injects manifests without a cluster.

use super::manifest::{self, Document};
use super::offline::{explain_refusal, hidden_pull_secrets, pull_secrets_of};
use crate::command_error::CommandError;
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

/// Injects the tasks in a document. A document without tasks stays the same, byte for byte.
fn inject(document: &Document<'_>, recipes: &PreparedProfiles) -> anyhow::Result<String> {
    let mut value = document.value.clone();
    let mut changed = false;
    for found in manifest::pods(&mut value) {
        match admission::admit(found.pod.clone(), found.namespace.as_str(), recipes) {
            // The pod would wait forever for objects whose names are the keys of outputs.
            Decision::Inject(injection) if !injection.unresolved.is_empty() => {
                let (place, references) = (found.place, injection.unresolved);
                return Err(CommandError::NeedsCluster { place, references }.into());
            }
            Decision::Inject(injection) => {
                let hidden = hidden_pull_secrets(found.pod, &pull_secrets_of(&injection.pod));
                for warning in injection.warnings.iter().chain(&hidden) {
                    eprintln!("{}: {warning}", found.place);
                }
                *found.pod = injection.pod;
                changed = true;
            }
            Decision::Reorder(reordering) => {
                *found.pod = reordering.pod;
                changed = true;
            }
            Decision::Skip(skip) => eprintln!("{}: not injected: {skip}", found.place),
            Decision::Refuse(refusal) => {
                let message = explain_refusal(&found, &refusal);
                return Err(CommandError::refused(&found.place, &refusal, message).into());
            }
        }
    }
    if changed { document.write(&value) } else { Ok(document.text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootlace_core::code::Code;
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
    fn other_documents_stay_the_same() {
        let text = "# a comment\nkind:   ConfigMap\ndata: {a:  'yes'}\n---\n# nothing here\n---\nkind: Service # two\n";
        assert_eq!(injected(text), text);
    }

    #[test]
    fn a_pod_keeps_its_yaml_1_1_values() {
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
    fn pod_templates_are_found_in_any_object() {
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
    fn a_variable_that_a_template_cannot_have_yet_is_explained() {
        let refusal = |text: &str, value: &str| {
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
            let message = refusal(text, "{{ run }}");
            for part in [
                &format!("the pod template of {kind} etl"),
                "batch.kubernetes.io/job-name",
                "kubectl get pod NAME --output yaml | bootlace explain",
            ] {
                assert!(message.contains(part), "{part} is not in: {message}");
            }
        }
        // The env in the template does not change in its pods.
        assert!(!refusal(&job, "{{ env.A }}").contains("pod template"));
        let pod = pod.replacen('{', "{kind: Pod, ", 1).replace('\'', "\"");
        assert!(!refusal(&format!("---\n{pod}\n"), "{{ run }}").contains("pod template"));
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
    fn a_pod_with_inputs_needs_a_cluster() {
        let text = "kind: Pod\nmetadata: {name: a, labels: {bootlace.dev/task: 'true'}, annotations: {bootlace.dev/run: r}}\n\
                    spec: {containers: [{name: a, command: [a]}], volumes: [{name: v, secret: {secretName: 'pipe:Cert'}}]}\n";
        let profile = Profile { name: "default".to_owned(), ..Profile::default() };
        let recipes =
            PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
        let error = inject(&manifest::documents(text).unwrap()[0], &recipes).unwrap_err();
        assert_eq!(crate::command_error::code(&error), Code::InjectionNeedsCluster);
        assert!(error.to_string().contains("spec.volumes[0].secret.secretName"), "{error}");
    }
}
