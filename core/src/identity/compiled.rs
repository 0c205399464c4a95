//! The conditions and rules of a scheduler, with their compiled patterns.

use std::borrow::Cow;

use regex_lite::Regex;

use super::convert;
use super::spec::{Condition, Conversion, OwnerField, Rule};
use crate::pod::{Container, Pod};

/// Maximum characters of a regular expression.
const MAX_PATTERN_CHARS: usize = 256;

/// A condition with its compiled pattern.
#[derive(Debug)]
pub(super) struct CompiledCondition {
    spec: Condition,
    pattern: Option<Regex>,
}

/// A rule with its compiled pattern.
#[derive(Debug)]
pub(super) struct CompiledRule {
    spec: Rule,
    pattern: Option<Regex>,
}

fn compile(pattern: Option<&str>) -> Result<Option<Regex>, String> {
    let Some(pattern) = pattern else { return Ok(None) };
    if pattern.chars().count() > MAX_PATTERN_CHARS {
        return Err(format!("has more than {MAX_PATTERN_CHARS} characters: shorten it"));
    }
    let compiled = Regex::new(pattern);
    compiled.map(Some).map_err(|error| format!("is invalid: {error}: correct the regular expression"))
}

impl CompiledCondition {
    /// Compiles the pattern of a condition. The error is the problem with the pattern, and what to do.
    pub(super) fn new(spec: &Condition) -> Result<Self, String> {
        Ok(Self { pattern: compile(spec.pattern.as_deref())?, spec: spec.clone() })
    }

    pub(super) fn is_met(&self, pod: &Pod<'_>) -> bool {
        let Condition { label, annotation, env, container, owner, absent, value, contains, pattern: _ } =
            &self.spec;
        let has_value = |text: &str| {
            value.as_ref().is_none_or(|value| value == text)
                && contains.as_ref().is_none_or(|part| text.contains(part.as_str()))
                && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
        };
        if let Some(label) = label {
            return match pod.labels.get(label) {
                Some(text) => !absent && has_value(text),
                None => *absent,
            };
        }
        if let Some(annotation) = annotation {
            return pod.annotations.get(annotation).is_some_and(has_value);
        }
        if let Some(container) = container {
            return pod.all_containers().any(|found| found.name == container);
        }
        if let Some(kind) = owner {
            return pod.controller().is_some_and(|found| kind.is(found.api_version, found.kind));
        }
        let Some(name) = env else { return false };
        pod.all_containers().filter(|found| found.env.contains(&&**name)).any(|found| {
            let mut values = found.variables().filter(|variable| variable.name == name);
            values.any(|variable| has_value(variable.text.unwrap_or_default()))
        })
    }
}

impl CompiledRule {
    /// Compiles the pattern of a rule. The error is the problem with the pattern, and what to do.
    pub(super) fn new(spec: &Rule) -> Result<Self, String> {
        Ok(Self { pattern: compile(spec.pattern.as_deref())?, spec: spec.clone() })
    }

    /// Whether it has a conversion.
    pub(super) fn converts(&self) -> bool {
        self.spec.code.is_some()
    }

    /// The value of the rule for a pod. `task` returns the first task container.
    pub(super) fn value<'p, 'a: 'p>(
        &self,
        pod: &'p Pod<'a>,
        task: &impl Fn() -> Option<&'p Container<'a>>,
    ) -> Option<String> {
        let text = self.text(pod, task)?;
        let text: &str = match &self.spec.after_label {
            Some(label) => text.strip_prefix(pod.labels.get(label)?)?,
            None => &text,
        };
        let text = match &self.pattern {
            Some(pattern) => {
                let groups = pattern.captures(text)?;
                groups.get(1).or_else(|| groups.get(0))?.as_str()
            }
            None => text,
        };
        let text = match self.spec.code {
            Some(code) => Cow::Owned(converted(code, text, pod)?),
            None => Cow::Borrowed(text),
        };
        let text = self.spec.value.as_deref().map_or(text, Cow::Borrowed);
        (!text.is_empty()).then(|| text.into_owned())
    }

    fn text<'p, 'a: 'p>(
        &self,
        pod: &'p Pod<'a>,
        task: &impl Fn() -> Option<&'p Container<'a>>,
    ) -> Option<Cow<'a, str>> {
        let Rule { label, annotation, env, owner, pod: field, container, .. } = &self.spec;
        if let Some(label) = label {
            return pod.labels.get(label).map(Cow::Borrowed);
        }
        if let Some(annotation) = annotation {
            return pod.annotations.get(annotation).map(Cow::Borrowed);
        }
        if let Some(field) = owner {
            let owner = pod.controller()?;
            return Some(Cow::Borrowed(match field {
                OwnerField::Name => owner.name,
                OwnerField::Uid => owner.uid,
            }));
        }
        if field.is_some() {
            return pod.name.map(Cow::Borrowed);
        }
        let container = match container {
            Some(name) => pod.all_containers().find(|found| found.name == name)?,
            None => task()?,
        };
        if let Some(name) = env {
            return variable(container, name);
        }
        let words = container.command.iter().flatten().chain(&container.args).copied();
        Some(Cow::Owned(words.collect::<Vec<_>>().join(" ")))
    }
}

/// The value of a variable, if it is in the spec.
fn variable<'a>(container: &Container<'a>, name: &str) -> Option<Cow<'a, str>> {
    if !container.env.contains(&name) {
        return None;
    }
    let text = container.variables().filter(|variable| variable.name == name).last()?.text?;
    if text.contains("$(") {
        return container.env_values().remove(name)?.ok();
    }
    Some(Cow::Borrowed(text))
}

fn converted(code: Conversion, text: &str, pod: &Pod<'_>) -> Option<String> {
    match code {
        Conversion::AirflowRunTime => convert::airflow_run_time(text),
        Conversion::AirflowLabelTime => convert::airflow_label_time(text),
        Conversion::CronJobTime => convert::cron_job_time(text),
        Conversion::CompactTime => convert::compact_time(text),
        Conversion::JobSetIndex => Some(convert::job_set_index(text, pod)),
        Conversion::TektonMatrixIndex => {
            let label = |name| pod.labels.get(name);
            convert::tekton_matrix_index(
                text,
                label("tekton.dev/pipelineRun")?,
                label("tekton.dev/pipelineTask")?,
            )
        }
    }
}
