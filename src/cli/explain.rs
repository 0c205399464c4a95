//! `bootlace explain`: explains why a pod is injected or not, and the purpose of each part.
//!
//! A pod that is not injected yet is explained from its plan. A pod that was injected before contains all
//! information, so `kubectl get pod … -o yaml | bootlace explain` needs neither profiles nor a cluster. Both
//! ways produce the same [`Explanation`], which `render` writes as text.

mod explanation;
mod from_plan;
mod from_pod;
mod hook;
mod render;
mod source;
mod steps;
#[cfg(test)]
mod tests;

use super::manifest::{self, PodInManifest};
use super::offline::{explain_refusal, hidden_pull_secrets, pull_secrets};
use crate::command_error::CommandError;
use bootlace_core::admission::{self, Decision};
use bootlace_core::identity::Schedulers;
use bootlace_core::plan::{Plan, PreparedProfiles};
use bootlace_core::pod::Pod;
use bootlace_core::selection::SkipReason;
use explanation::Explanation;

/// Arguments of `bootlace explain`. It exits with 1 if a pod would be refused, like `inject`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    offline: super::offline::Offline,
    /// Also show the changes of each step, the overlays and boot, as differences.
    #[arg(long)]
    steps: bool,
}

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let recipes = args.offline.load()?;
    let (mut all, mut refused) = (0, 0);
    for file in &args.offline.files {
        let text = manifest::read(file)?;
        for document in manifest::documents(&text)? {
            let mut value = document.value;
            for found in manifest::pods(&mut value) {
                let decision = preview(&found, &recipes);
                all += 1;
                refused += usize::from(matches!(decision, Decision::Refuse(_)));
                let steps = match &decision {
                    Decision::Inject(injection) if args.steps => {
                        steps::describe(found.pod, &injection.overlays, &injection.patch)?
                    }
                    _ => String::new(),
                };
                println!("{}{steps}", explain(&found, decision, recipes.schedulers())?);
            }
        }
    }
    match (all, refused) {
        (0, _) => Err(CommandError::NoPod.into()),
        (_, 0) => Ok(()),
        // The same exit code as that of `inject`, for pipelines.
        _ => Err(CommandError::PodsRefused { refused, all }.into()),
    }
}

/// What `explain` needs of the plan of a pod.
struct Planned {
    explanation: Explanation,
    /// The pull secrets that the pod gets.
    pull_secrets: Vec<String>,
}

impl Planned {
    fn new(plan: &Plan<'_>, pod: &Pod<'_>, schedulers: &Schedulers) -> Self {
        Self {
            explanation: Explanation::of_plan(plan, pod, schedulers),
            pull_secrets: pull_secrets(plan.pull_secrets.iter().map(|entry| &**entry)),
        }
    }
}

fn preview(found: &PodInManifest<'_>, recipes: &PreparedProfiles) -> Decision<Planned, ()> {
    admission::preview(&*found.pod, found.namespace.as_str(), recipes, |plan, pod| {
        Planned::new(plan, pod, recipes.schedulers())
    })
}

fn explain(
    found: &PodInManifest<'_>,
    decision: Decision<Planned, ()>,
    schedulers: &Schedulers,
) -> anyhow::Result<String> {
    let place = &found.place;
    match decision {
        Decision::Inject(injection) => {
            let Planned { mut explanation, pull_secrets } = injection.pod;
            explanation.overlays = steps::summarize(&injection.overlays, &injection.patch);
            explanation.unresolved = injection.unresolved;
            explanation.warnings = injection.warnings;
            explanation.warnings.extend(hidden_pull_secrets(found.pod, &pull_secrets));
            Ok(format!("{place} is injected\n{}", render::describe(&explanation)))
        }
        Decision::Skip(SkipReason::AlreadyInjected) => {
            let explanation = Explanation::of_pod(found.pod, schedulers)?;
            Ok(format!("{place} was injected before\n{}", render::describe(&explanation)))
        }
        Decision::Reorder(reordering) => {
            let explanation = Explanation::of_pod(found.pod, schedulers)?;
            Ok(format!(
                "{place} was injected before; when it is created, boot is moved after {}, which was added later\n{}",
                reordering.behind.join(", "),
                render::describe(&explanation)
            ))
        }
        Decision::Skip(skip) => Ok(format!("{place} is not injected: {skip}\n")),
        Decision::Refuse(refusal) => {
            let message = explain_refusal(found, &refusal);
            Ok(format!("{place} is refused: {message} [{}]\n", refusal.message_code))
        }
    }
}
