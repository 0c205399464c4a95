//! An entry of the table of schedulers.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::compiled::{CompiledCondition, CompiledRule};
use super::error::InvalidSchedulers;
use super::spec::{DefaultEnvMode, IdentityField, LineageIds, OwnerKind, SchedulerSpec};
use super::{Identity, convert};
use crate::pod::{Container, Pod};

/// An entry of the table.
#[derive(Debug)]
pub struct Scheduler {
    spec: SchedulerSpec,
    title: Arc<str>,
    conditions: Vec<CompiledCondition>,
    identity: BTreeMap<IdentityField, Vec<CompiledRule>>,
}

impl Scheduler {
    pub(super) fn new(spec: SchedulerSpec) -> Result<Self, InvalidSchedulers> {
        let invalid = |field: String, problem: &str| InvalidSchedulers::Entry {
            name: spec.name.clone(),
            field,
            problem: problem.to_owned(),
        };
        if !is_name(&spec.name) {
            let problem =
                "is invalid: must consist of lowercase letters, digits and '-', with at most 63 characters";
            return Err(invalid("name".to_owned(), problem));
        }
        if spec.conditions.is_empty() {
            let problem =
                "is empty: add a condition such as {label: KEY}, or all pods would belong to the scheduler";
            return Err(invalid("match".to_owned(), problem));
        }
        let mut conditions = Vec::new();
        for (index, condition) in spec.conditions.iter().enumerate() {
            let field = format!("match[{index}]");
            condition.check().map_err(|problem| invalid(field.clone(), problem))?;
            let condition = CompiledCondition::new(condition);
            conditions.push(condition.map_err(|problem| invalid(format!("{field}.pattern"), &problem))?);
        }
        let mut identity = BTreeMap::new();
        for field in IdentityField::ALL {
            let mut compiled = Vec::new();
            for (index, rule) in spec.identity.rules(field).0.iter().enumerate() {
                let field = format!("identity.{}[{index}]", field.as_str());
                rule.check().map_err(|problem| invalid(field.clone(), problem))?;
                let rule = CompiledRule::new(rule);
                compiled.push(rule.map_err(|problem| invalid(format!("{field}.pattern"), &problem))?);
            }
            identity.insert(field, compiled);
        }
        let title = spec.title.clone().unwrap_or_else(|| spec.name.clone()).into();
        Ok(Self { spec, title, conditions, identity })
    }

    /// Short name in messages, metrics and `task.json`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Name of the creator of the pods in messages: `Airflow's KubernetesPodOperator`.
    #[must_use]
    pub fn title(&self) -> &Arc<str> {
        &self.title
    }

    /// Whether its pods are tasks in namespaces that have opted in. The match conditions of the chart contain
    /// the conditions of these entries.
    #[must_use]
    pub fn opts_in(&self) -> bool {
        self.spec.opt_in
    }

    /// Kinds of objects that represent its runs.
    #[must_use]
    pub fn run_owners(&self) -> &[OwnerKind] {
        &self.spec.run_owners
    }

    /// Whether it starts the task with exec, and such a process does not inherit the env of the launcher.
    #[must_use]
    pub fn uses_exec(&self) -> bool {
        self.spec.env == Some(DefaultEnvMode::Secret)
    }

    /// The scheduler that determines the IDs of its runs in OpenLineage.
    #[must_use]
    pub fn lineage(&self) -> Option<LineageIds> {
        self.spec.lineage
    }

    /// A warning for the creator of each pod.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.spec.warning.as_deref()
    }

    /// A warning for the creator of each pod with outputs.
    #[must_use]
    pub fn output_warning(&self) -> Option<&str> {
        self.spec.output_warning.as_deref()
    }

    /// Why the pods do not contain a field of the identity, if no rule finds it in any pod.
    #[must_use]
    pub fn unknown(&self, field: IdentityField) -> Option<&str> {
        self.spec.unknown.get(&field).map(String::as_str)
    }

    /// Whether its rules override the annotation for the default container.
    #[must_use]
    pub fn overrides_default_container(&self) -> bool {
        self.spec.containers.override_default_container
    }

    /// The entry.
    pub(super) fn spec(&self) -> &SchedulerSpec {
        &self.spec
    }

    /// Whether the pod meets the conditions.
    pub(super) fn recognises(&self, pod: &Pod<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.is_met(pod))
    }

    /// The containers that run the task, in the order of the pod. Empty if the pod has no containers.
    #[must_use]
    pub fn task_containers<'p, 'a>(&self, pod: &'p Pod<'a>) -> Vec<&'p Container<'a>> {
        let rules = &self.spec.containers;
        let by_name = |name: &str| pod.containers.iter().find(|container| container.name == name);
        let named = rules.annotation.as_deref().and_then(|annotation| pod.annotations.get(annotation));
        if let Some(container) =
            named.and_then(by_name).or_else(|| rules.names.iter().find_map(|name| by_name(name)))
        {
            return vec![container];
        }
        if let Some(prefix) = &rules.prefix {
            let matching = pod.containers.iter().filter(|container| container.name.starts_with(&**prefix));
            let matching: Vec<_> = matching.collect();
            if !matching.is_empty() {
                return matching;
            }
        }
        let mut others = pod.containers.iter().filter(|container| !rules.ignores(container.name)).peekable();
        if rules.all && others.peek().is_some() {
            return others.collect();
        }
        let indexed = rules.index.and_then(|index| pod.containers.get(usize::from(index)));
        indexed.or_else(|| others.next()).or_else(|| pod.containers.first()).into_iter().collect()
    }

    /// The identity of the task of a pod that meets the conditions.
    pub(super) fn identity(&self, pod: &Pod<'_>) -> Identity {
        // The first task container is only searched if a rule needs it.
        let found = OnceCell::new();
        let task = || *found.get_or_init(|| self.task_containers(pod).first().copied());
        let value =
            |field: IdentityField| self.identity.get(&field)?.iter().find_map(|rule| rule.value(pod, &task));
        let time = |rule: &CompiledRule| {
            let text = rule.value(pod, &task)?;
            if rule.converts() { Some(text) } else { convert::rfc3339(&text) }
        };
        Identity {
            scheduler: Some(self.spec.name.clone()),
            workflow: value(IdentityField::Workflow),
            run: value(IdentityField::Run),
            task: value(IdentityField::Task),
            attempt: value(IdentityField::Attempt),
            map_index: value(IdentityField::MapIndex),
            scheduled_time: self
                .identity
                .get(&IdentityField::ScheduledTime)
                .and_then(|rules| rules.iter().find_map(time)),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}
