//! `bootlace explain`: why a pod is or is not injected, and what each part is for.
//!
//! A pod that is injected already is explained from what it carries, so `kubectl get pod … -o yaml | bootlace
//! explain` needs neither profiles nor a cluster; any other is injected first, in memory.

mod words;

use anyhow::bail;
use serde_json::Value;

use super::manifest;
use crate::admission::{self, Decision};
use crate::selection::Skip;

/// Arguments of `bootlace explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    offline: super::offline::Offline,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let recipes = args.offline.load()?;
    let mut any = false;
    for file in &args.offline.files {
        let text = manifest::read(file)?;
        for document in manifest::documents(&text)? {
            let mut value = document.value;
            for found in manifest::pods(&mut value) {
                any = true;
                let decision = admission::admit(found.pod.clone(), found.namespace.as_str(), &recipes);
                println!("{}", explain(&found.place, found.pod, decision)?);
            }
        }
    }
    if !any {
        bail!("there is no Pod and no pod template in what was read: give a manifest that holds one");
    }
    Ok(())
}

fn explain(place: &str, pod: &Value, decision: Decision) -> anyhow::Result<String> {
    match decision {
        Decision::Inject(injection) => {
            let warnings = injection.warnings;
            Ok(format!("{place} becomes a booted task\n{}", words::describe(&injection.pod, &warnings)?))
        }
        Decision::Skip(Skip::AlreadyInjected) => {
            Ok(format!("{place} is a booted task\n{}", words::describe(pod, &[])?))
        }
        Decision::Skip(skip) => Ok(format!("{place} is left alone: {skip}\n")),
        Decision::Refuse(refusal) => Ok(format!("{place} is refused: {refusal}\n")),
    }
}
