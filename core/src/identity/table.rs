//! The table of schedulers, compiled once so that a pod is matched quickly.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use regex_lite::Regex;

use super::spec::{
    Condition, ContainerRules, Conversion, DefaultEnvMode, IdentityField, IdentityRules, OwnerField,
    OwnerKind, Rule, Rules, SchedulerSpec,
};
use super::{Identity, convert, run_annotation};
use crate::pod::{Container, Pod};

/// The entries that Bootlace is built with. The chart renders its match conditions from the same file.
const BUILT_IN: &str = include_str!("../../../charts/bootlace/files/schedulers.yaml");

/// Maximum number of additional entries. Each pod is compared with those that have a label of the pod.
const MAX_EXTRA: usize = 64;
/// Maximum characters of a regular expression.
const MAX_PATTERN_CHARS: usize = 256;

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedulers {
    /// It is not a list of entries.
    #[error("the list of schedulers is invalid: {0}")]
    Malformed(String),
    /// It has too many entries.
    #[error("the list of schedulers has {count} entries, the limit is {MAX_EXTRA}: remove some")]
    TooMany {
        /// The number of entries.
        count: usize,
    },
    /// An entry is invalid.
    #[error("scheduler {name:?}: {field} {problem}")]
    Entry {
        /// The name of the scheduler.
        name: String,
        /// The field.
        field: String,
        /// The problem, and what to do.
        problem: String,
    },
}

/// The table of schedulers.
#[derive(Debug, Default)]
pub struct Schedulers {
    entries: Vec<Arc<Scheduler>>,
    /// The entries with a condition for a label, by that label.
    by_label: HashMap<String, Vec<usize>>,
    /// The other entries.
    without_label: Vec<usize>,
}

impl PartialEq for Schedulers {
    fn eq(&self, other: &Self) -> bool {
        self.specs().eq(other.specs())
    }
}

impl Eq for Schedulers {}

impl Schedulers {
    /// The built-in table.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        static TABLE: LazyLock<Arc<Schedulers>> = LazyLock::new(|| {
            // A test parses the same text.
            Arc::new(parse(BUILT_IN).and_then(Schedulers::new).unwrap_or_default())
        });
        Arc::clone(&TABLE)
    }

    /// The built-in table, preceded by the entries of `text`, a YAML list.
    ///
    /// # Errors
    /// If an entry is invalid.
    pub fn with_extra(text: &str) -> Result<Arc<Self>, InvalidSchedulers> {
        let mut specs = parse(text)?;
        if specs.len() > MAX_EXTRA {
            return Err(InvalidSchedulers::TooMany { count: specs.len() });
        }
        specs.extend(parse(BUILT_IN)?);
        Self::new(specs).map(Arc::new)
    }

    fn new(specs: Vec<SchedulerSpec>) -> Result<Self, InvalidSchedulers> {
        let entries = specs.into_iter().map(|spec| Scheduler::new(spec).map(Arc::new));
        let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        let mut table = Self { entries, ..Self::default() };
        for (index, entry) in table.entries.iter().enumerate() {
            let mut present = entry.spec.conditions.iter().filter(|condition| !condition.absent);
            match present.find_map(|condition| condition.label.as_ref()) {
                Some(label) => table.by_label.entry(label.clone()).or_default().push(index),
                None => table.without_label.push(index),
            }
        }
        Ok(table)
    }

    /// The entries, in the order in which pods are compared with them.
    pub fn specs(&self) -> impl Iterator<Item = &SchedulerSpec> {
        self.entries.iter().map(|entry| &entry.spec)
    }

    /// The scheduler that created the pod, if it is known: the first entry whose conditions the pod meets.
    #[must_use]
    pub fn detect(&self, pod: &Pod<'_>) -> Option<&Arc<Scheduler>> {
        let labelled = pod.labels.iter().filter_map(|(label, _)| self.by_label.get(label)).flatten();
        let mut found = usize::MAX;
        for &index in labelled.chain(&self.without_label) {
            if index < found && self.entries.get(index).is_some_and(|entry| entry.recognises(pod)) {
                found = index;
            }
        }
        self.entries.get(found)
    }

    /// The identity of the task: from an annotation if it names the run, else from the scheduler; empty if it is
    /// unknown.
    #[must_use]
    pub fn identify(&self, pod: &Pod<'_>) -> Identity {
        identify(pod, self.detect(pod))
    }
}

/// The same, if `scheduler` is what [`Schedulers::detect`] has found for the pod.
pub(crate) fn identify(pod: &Pod<'_>, scheduler: Option<&Arc<Scheduler>>) -> Identity {
    run_annotation::identity(pod, scheduler.map(|scheduler| scheduler.identity(pod)).unwrap_or_default())
}

fn parse(text: &str) -> Result<Vec<SchedulerSpec>, InvalidSchedulers> {
    // An empty file, or one with comments only.
    let specs: Option<Vec<SchedulerSpec>> =
        serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false }).map_err(
            |error| {
                let message = error.to_string();
                let message = message.lines().next().unwrap_or_default().trim_end_matches([':', '.']);
                InvalidSchedulers::Malformed(format!("{message}: correct the entry"))
            },
        )?;
    Ok(specs.unwrap_or_default())
}

/// An entry of the table.
#[derive(Debug)]
pub struct Scheduler {
    spec: SchedulerSpec,
    title: Arc<str>,
    conditions: Vec<CompiledCondition>,
    identity: BTreeMap<IdentityField, Vec<CompiledRule>>,
}

/// A condition with its compiled pattern.
#[derive(Debug)]
struct CompiledCondition {
    spec: Condition,
    pattern: Option<Regex>,
}

/// A rule with its compiled pattern.
#[derive(Debug)]
struct CompiledRule {
    spec: Rule,
    pattern: Option<Regex>,
}

impl Scheduler {
    fn new(spec: SchedulerSpec) -> Result<Self, InvalidSchedulers> {
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
            let pattern = compile(condition.pattern.as_deref());
            let pattern = pattern.map_err(|problem| invalid(format!("{field}.pattern"), &problem))?;
            conditions.push(CompiledCondition { spec: condition.clone(), pattern });
        }
        let mut identity = BTreeMap::new();
        for field in IdentityField::ALL {
            let mut compiled = Vec::new();
            for (index, rule) in spec.identity.rules(field).0.iter().enumerate() {
                let field = format!("identity.{}[{index}]", field.as_str());
                rule.check().map_err(|problem| invalid(field.clone(), problem))?;
                let pattern = compile(rule.pattern.as_deref());
                let pattern = pattern.map_err(|problem| invalid(format!("{field}.pattern"), &problem))?;
                compiled.push(CompiledRule { spec: rule.clone(), pattern });
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

    /// Whether its pods are tasks in namespaces that have opted in. The match conditions of the chart contain the
    /// conditions of these entries.
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

    /// A warning for the creator of each pod.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.spec.warning.as_deref()
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

    fn recognises(&self, pod: &Pod<'_>) -> bool {
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

    fn identity(&self, pod: &Pod<'_>) -> Identity {
        let task = LazyContainer { scheduler: self, pod, found: std::cell::OnceCell::new() };
        let value =
            |field: IdentityField| self.identity.get(&field)?.iter().find_map(|rule| rule.value(pod, &task));
        let time = |rule: &CompiledRule| {
            let text = rule.value(pod, &task)?;
            if rule.spec.code.is_some() { Some(text) } else { convert::rfc3339(&text) }
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

/// The first task container, which is only searched if a rule needs it.
struct LazyContainer<'s, 'p, 'a> {
    scheduler: &'s Scheduler,
    pod: &'p Pod<'a>,
    found: std::cell::OnceCell<Option<&'p Container<'a>>>,
}

impl<'p, 'a> LazyContainer<'_, 'p, 'a> {
    fn get(&self) -> Option<&'p Container<'a>> {
        *self.found.get_or_init(|| self.scheduler.task_containers(self.pod).first().copied())
    }
}

fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn compile(pattern: Option<&str>) -> Result<Option<Regex>, String> {
    let Some(pattern) = pattern else { return Ok(None) };
    if pattern.chars().count() > MAX_PATTERN_CHARS {
        return Err(format!("has more than {MAX_PATTERN_CHARS} characters: shorten it"));
    }
    let compiled = Regex::new(pattern);
    compiled.map(Some).map_err(|error| format!("is invalid: {error}: correct the regular expression"))
}

impl IdentityRules {
    /// The rules of a field.
    #[must_use]
    pub fn rules(&self, field: IdentityField) -> &Rules {
        match field {
            IdentityField::Workflow => &self.workflow,
            IdentityField::Run => &self.run,
            IdentityField::Task => &self.task,
            IdentityField::Attempt => &self.attempt,
            IdentityField::MapIndex => &self.map_index,
            IdentityField::ScheduledTime => &self.scheduled_time,
        }
    }
}

impl ContainerRules {
    fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|ignored| match ignored.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == ignored,
        })
    }
}

fn is_one<const N: usize>(set: [bool; N]) -> bool {
    set.into_iter().filter(|set| *set).count() == 1
}

impl Condition {
    fn check(&self) -> Result<(), &'static str> {
        let Self { label, annotation, env, container, owner, absent, value, contains, pattern } = self;
        let [label, annotation, env] = [label.is_some(), annotation.is_some(), env.is_some()];
        if !is_one([label, annotation, env, container.is_some(), owner.is_some()]) {
            return Err("is invalid: must set exactly one of label, annotation, env, container and owner");
        }
        let has_value = value.is_some() || contains.is_some() || pattern.is_some();
        if has_value && !(label || annotation || env) {
            return Err("is invalid: value, contains and pattern must be used with label, annotation or env");
        }
        if *absent && (has_value || !label) {
            return Err("is invalid: absent must be used with label, without value, contains and pattern");
        }
        Ok(())
    }
}

impl Rule {
    fn check(&self) -> Result<(), &'static str> {
        let has_container = self.env.is_some() || self.command_line;
        let sources = [
            self.label.is_some(),
            self.annotation.is_some(),
            self.env.is_some(),
            self.owner.is_some(),
            self.pod.is_some(),
            self.command_line,
        ];
        if !is_one(sources) {
            return Err(
                "is invalid: must set exactly one of label, annotation, env, owner, pod and commandLine",
            );
        }
        if self.container.is_some() && !has_container {
            return Err("is invalid: container must be used with env or commandLine");
        }
        Ok(())
    }
}

impl CompiledCondition {
    fn is_met(&self, pod: &Pod<'_>) -> bool {
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
    fn value<'a>(&self, pod: &Pod<'a>, task: &LazyContainer<'_, '_, 'a>) -> Option<String> {
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

    fn text<'a>(&self, pod: &Pod<'a>, task: &LazyContainer<'_, '_, 'a>) -> Option<Cow<'a, str>> {
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
            None => task.get()?,
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
    }
}
