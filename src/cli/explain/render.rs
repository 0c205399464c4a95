//! Describes an injected pod.

use std::fmt::Write as _;

use serde_json::Value;

use super::hook::{self, EnvArguments, Hook};
use super::{inputs, outputs};
use crate::boot;
use crate::command_error::CommandError;
use bootlace_core::identity::Schedulers;
use bootlace_core::names;
use bootlace_core::plan::boot_spec::{BootSource, SourceKind};
use bootlace_core::plan::{BootSpec, InjectedAnnotation};
use bootlace_core::pod::{Container, Json, List, Pod};
use bootlace_core::profile::object_store::{ObjectStore, ObjectStoreClient, ObjectStoreCredentials};
use bootlace_core::profile::remote::{Client, JsonPart, Optimus};
use bootlace_core::profile::spec::SourceTarget;
use bootlace_core::selection::{MatchReason, Selection, SkipReason, select};

/// Describes each injected part of a pod.
pub(super) fn describe(
    injected: &Value,
    left: &[String],
    warnings: &[String],
    schedulers: &Schedulers,
) -> anyhow::Result<String> {
    let json = Json::from(injected);
    let pod = Pod::read(&json)?;
    let part = || format!("annotation {}", names::ANNOTATION_INJECTED);
    let mark = pod.annotations.get(names::ANNOTATION_INJECTED).ok_or_else(|| missing(part()))?;
    let mark: InjectedAnnotation = serde_json::from_str(mark).map_err(|error| invalid(part(), &error))?;
    let spec = boot_spec(injected)?;
    let mut out = Lines(String::new());

    let scheduler = schedulers.detect(&pod).map_or("unknown", |scheduler| &**scheduler.title());
    match spec.task.describe() {
        task if task.is_empty() => out.line("scheduler", scheduler),
        task => out.line("scheduler", &format!("{scheduler}: {task}")),
    }
    out.line("task because", &match_reason(&pod, schedulers).to_string());
    out.line(
        "profile",
        &format!("{}, generation {} (Bootlace {})", mark.profile, mark.generation, mark.version),
    );
    if !mark.because.is_empty() {
        out.line("env mode", &format!("{}: {}", mark.env_mode.as_str(), mark.because));
    }
    out.gap();

    wait(&mut out, injected)?;
    if let Some(init) = init_container(injected, names::CONTAINER_INIT) {
        let image = init.get("image").and_then(Value::as_str).unwrap_or("(no image)");
        out.part(
            "init container",
            names::CONTAINER_INSTALL,
            "copies the launcher to the volume, for the timeout of the next container",
        );
        let text =
            format!("runs the custom boot image {image} with a timeout of {} s:", spec.timeout_seconds);
        out.part("init container", names::CONTAINER_INIT, &text);
        out.detail(&launched_command(init).join(" "));
    }
    let boot = init_container(injected, names::CONTAINER_BOOT)
        .ok_or_else(|| missing(format!("container {}", names::CONTAINER_BOOT)))?;
    let image = boot.get("image").and_then(Value::as_str).unwrap_or("(no image)");
    out.part(
        "init container",
        names::CONTAINER_BOOT,
        &format!("runs {image} before the task and fetches, in order:"),
    );
    if spec.sources.is_empty() {
        out.detail("nothing: the profile has no sources");
    }
    for source in spec.sources.iter() {
        out.detail(&format!("{}: {}", source.name, describe_source(source)));
    }
    let size = volume_size(injected).unwrap_or("no");
    out.part(
        "volume",
        names::VOLUME,
        &format!("contains the results of boot, in memory (limit {size}), read-only for the task"),
    );
    if spec.http_get {
        out.detail("contains the launcher with TLS (1.7 MB), because a postStart handler is an httpGet");
    }
    if let Some((summary, details)) = outputs::describe(injected)? {
        out.part("sidecar", names::CONTAINER_PIPE, &summary);
        for detail in &details {
            out.detail(detail);
        }
    }
    for name in &mark.containers {
        if let Some(container) = pod.all_containers().find(|container| container.name == name) {
            task(&mut out, injected, container, &mark, &spec);
        }
    }
    others(&mut out, injected, &pod, &mark);
    for reference in left {
        out.part("pipe", reference, "");
    }
    for warning in warnings {
        out.part("warning", warning, "");
    }
    Ok(out.0)
}

/// Describes a task container.
fn task(
    out: &mut Lines,
    injected: &Value,
    container: &Container<'_>,
    mark: &InjectedAnnotation,
    spec: &BootSpec<'_>,
) {
    let (kind, list) = match container.list {
        List::Init => ("init container", "initContainers"),
        List::App => ("container", "containers"),
    };
    let at = |field: &str| injected.pointer(&format!("/spec/{list}/{}/{field}", container.index));
    let text = |field: &str| at(field).and_then(Value::as_str);
    out.part(kind, container.name, "runs the task:");
    let name = container.name;
    for path in mounts(at("volumeMounts")) {
        out.detail(&path);
    }
    let launched =
        matches!(text("command/1"), Some("exec" | "run")) && text("command/0").is_some_and(is_launcher);
    let secret = mark.env_secret.as_deref();
    let secret = secret.filter(|secret| text("envFrom/0/secretRef/name") == Some(secret));
    let post_start = at("lifecycle/postStart");
    let hook = post_start.and_then(Hook::parse);
    let env = EnvArguments {
        launched,
        secret,
        by_file: reads_file(at("env")),
        layout: spec.layout,
        hook_env: hook.as_ref().and_then(Hook::env),
    };
    out.detail(&env.describe());
    match hook {
        None if container.ends_before_tasks() => {
            out.detail("no postStart hook, because init containers cannot have one: the env is not verified");
        }
        Some(hook) => out.detail(&hook.describe(mark.hook_when, &env)),
        None => out.detail(&hook::describe_absent(mark.hook_when, &env, post_start.is_some())),
    }
    if let Some(kept) = spec.keep.get(name).filter(|kept| !kept.is_empty()) {
        out.detail(&format!("variables of the pod that override the boot env: {}", kept.join(", ")));
    }
    if spec.env_from_prefixes.contains_key(name) {
        out.detail("its envFrom overrides the boot env, too: boot reads the names");
    }
    let texts = spec.references.get(name).map_or(0, Vec::len);
    if texts > 0 {
        out.detail(&format!("the launcher resolves $(NAME) in {texts} of its arguments and variables"));
    }
}

/// Describes the init containers that are not tasks, but mount files of boot.
fn others(out: &mut Lines, injected: &Value, pod: &Pod<'_>, mark: &InjectedAnnotation) {
    for container in &pod.init_containers {
        let sees_files = !names::is_own_container(container.name)
            && !mark.containers.iter().any(|name| name == container.name)
            && container.mounts.iter().flatten().any(|mount| mount.volume == names::VOLUME);
        if sees_files {
            out.part("init container", container.name, "is not a task, but mounts files of boot:");
            let list = format!("/spec/initContainers/{}/volumeMounts", container.index);
            for path in mounts(injected.pointer(&list)) {
                out.detail(&path);
            }
        }
    }
}

/// Describes the containers that wait for outputs of earlier tasks.
fn wait(out: &mut Lines, injected: &Value) -> anyhow::Result<()> {
    let awaited = inputs::describe(injected)?;
    if !awaited.is_empty() {
        out.part("init container", names::CONTAINER_WAIT, "waits until the store has:");
        for line in &awaited {
            out.detail(line);
        }
    }
    if init_container(injected, names::CONTAINER_VOLUME_WAIT).is_some() {
        let text = "waits until the kubelet has updated the volumes of the pod";
        out.part("init container", names::CONTAINER_VOLUME_WAIT, text);
    }
    Ok(())
}

/// The reason why the pod is a task, apart from its injection.
fn match_reason(pod: &Pod<'_>, schedulers: &Schedulers) -> MatchReason {
    let mut without_mark = pod.clone();
    without_mark.init_containers = Vec::new();
    match select(&without_mark, None, schedulers) {
        Selection::Task { because, .. } => because,
        // It has no init containers here.
        Selection::Overtaken(_)
        | Selection::Skip(
            SkipReason::OptedOut
            | SkipReason::NotATask
            | SkipReason::AlreadyInjected
            | SkipReason::MirrorPod
            | SkipReason::Windows,
        ) => MatchReason::Label,
    }
}

pub(super) fn init_container<'p>(pod: &'p Value, name: &str) -> Option<&'p Value> {
    let containers = pod.pointer("/spec/initContainers")?.as_array()?;
    containers.iter().find(|container| is_named(container, name))
}

/// The command that the launcher starts in a container.
fn launched_command(container: &Value) -> Vec<&str> {
    let words = container.get("command").and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str).skip_while(|word| *word != "--").skip(1).collect()
}

pub(super) fn is_named(object: &Value, name: &str) -> bool {
    object.get("name").and_then(Value::as_str) == Some(name)
}

fn missing(part: String) -> CommandError {
    CommandError::InjectedPod { part, problem: "not found".to_owned() }
}

fn invalid(part: String, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::InjectedPod { part, problem: error.to_string() }
}

fn boot_spec(pod: &Value) -> Result<BootSpec<'static>, CommandError> {
    let env = init_container(pod, names::CONTAINER_BOOT)
        .and_then(|boot| boot.get("env")?.as_array())
        .ok_or_else(|| missing(format!("env of container {}", names::CONTAINER_BOOT)))?;
    let value = |name: &str| {
        let variable = env.iter().find(|variable| is_named(variable, name))?;
        variable.get("value")?.as_str().map(str::to_owned)
    };
    let part = || format!("env {} of container {}", names::ENV_BOOT_SPEC, names::CONTAINER_BOOT);
    BootSpec::from_env(value).map_err(|error| invalid(part(), &error))
}

fn volume_size(pod: &Value) -> Option<&str> {
    let volumes = pod.pointer("/spec/volumes")?.as_array()?;
    let volume = volumes.iter().find(|volume| is_named(volume, names::VOLUME))?;
    volume.pointer("/emptyDir/sizeLimit")?.as_str()
}

fn mounts(mounts: Option<&Value>) -> Vec<String> {
    let all = mounts.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|mount| {
        let path = mount.get("mountPath")?.as_str()?;
        let content = match mount.get("name")?.as_str()? {
            names::VOLUME if mount.get("subPath").is_some() => "the assets",
            names::VOLUME => "the boot volume",
            names::VOLUME_DATA => "a writable directory around the assets",
            names::VOLUME_RUN => "the volume for its outputs",
            name if name.starts_with(names::VOLUME_PIPE_PREFIX) => "an output of an earlier task",
            _ => return None,
        };
        Some(format!("mounts {content} at {path}"))
    })
    .collect()
}

/// Whether the kubelet reads a variable from the file of boot.
fn reads_file(env: Option<&Value>) -> bool {
    let variables = env.and_then(Value::as_array).into_iter().flatten();
    let mut volumes =
        variables.filter_map(|variable| variable.pointer("/valueFrom/fileKeyRef/volumeName")?.as_str());
    volumes.any(|volume| volume == names::VOLUME)
}

pub(super) fn is_launcher(word: &str) -> bool {
    word.strip_prefix(names::MOUNT).and_then(|rest| rest.strip_prefix('/')) == Some(names::FILE_LAUNCHER)
}

fn describe_source(source: &BootSource) -> String {
    let address = match boot::address(&source.from) {
        Some(Ok(address)) => address,
        Some(Err(error)) => return format!("boot will fail: {error}"),
        None => String::new(),
    };
    match &source.from {
        SourceKind::Inline(inline) => {
            let (env, files) = (join(inline.env.keys()), join(inline.files.keys()));
            match (env.is_empty(), files.is_empty()) {
                (true, true) => "inline, empty".to_owned(),
                (false, true) => format!("inline: env {env}"),
                (true, false) => format!("inline: files {files}"),
                (false, false) => format!("inline: env {env}; files {files}"),
            }
        }
        SourceKind::Mounted(mounted) => {
            let into = match mounted.into {
                SourceTarget::Env => "env",
                SourceTarget::Files => "files",
            };
            let keys = if mounted.items.is_empty() {
                let except = if mounted.exclude.is_empty() { "" } else { " except " };
                format!("every key{except}{}", join(mounted.exclude.iter()))
            } else {
                join(mounted.items.iter().map(|item| &item.key))
            };
            let optional = if mounted.optional { ", if it exists" } else { "" };
            format!("{} {}{optional}: {keys} as {into}", mounted.kind, mounted.name)
        }
        SourceKind::Http(remote) => {
            let request = &remote.request;
            let becomes = becomes(request.file.as_deref(), request.archive.is_some(), &request.json);
            format!("{} {address}: {becomes}{}", request.method.as_str(), client(&request.client))
        }
        SourceKind::InitImage(_) => "env and files from bootlace-init, which override those above".to_owned(),
        SourceKind::Optimus(remote) => {
            let request = &remote.request;
            let Optimus { project, job, .. } = &**request;
            format!(
                "Optimus, job {job} of {project}, by POST {address}: env and files{}",
                client(&request.client)
            )
        }
        SourceKind::ObjectStore(remote) => objects(&remote.request, &address),
        SourceKind::Oci(remote) => {
            let request = &remote.request;
            let files = if request.path.is_empty() {
                "files".to_owned()
            } else {
                format!("files of {}", request.path)
            };
            let secret = request.pull_secret.as_ref().map(|name| format!(", credentials from Secret {name}"));
            let plain = if request.plain_http { ", without TLS" } else { "" };
            format!(
                "OCI {} at {address}: {files}{}{plain}{}",
                request.reference,
                secret.unwrap_or_default(),
                client(&request.client)
            )
        }
    }
}

/// Describes the results of a response or an object.
fn becomes(file: Option<&str>, is_archive: bool, json: &[JsonPart]) -> String {
    if let Some(path) = file {
        return format!("file {path}");
    }
    if is_archive {
        return "an archive of files".to_owned();
    }
    let part = |part: &JsonPart| match part.into {
        SourceTarget::Env => "env",
        SourceTarget::Files => "files",
    };
    format!("JSON as {}", json.iter().map(part).collect::<Vec<_>>().join(" and "))
}

/// Describes objects and their credentials.
fn objects(request: &ObjectStore, address: &str) -> String {
    let becomes = match (&request.prefix, &request.folder) {
        (Some(_), Some(folder)) => format!("every object as a file in {folder}"),
        (Some(_), None) => "every object as a file".to_owned(),
        (None, _) => becomes(request.file.as_deref(), request.archive.is_some(), &request.json),
    };
    let credentials = match &request.credentials {
        None => "with the workload identity of the pod".to_owned(),
        Some(ObjectStoreCredentials { secret: Some(secret), .. }) => {
            format!("credentials from Secret {secret}")
        }
        Some(_) => "without credentials".to_owned(),
    };
    let ObjectStoreClient { ca, proxy, .. } = &request.client;
    let client = client(&Client { ca: ca.clone(), proxy: proxy.clone(), ..Client::default() });
    format!("{address}: {becomes}, {credentials}{client}")
}

/// Describes the credentials and the trust of a request.
fn client(client: &Client) -> String {
    let mut text = String::new();
    for header in &client.headers {
        let _ = write!(text, ", header {}", header.name);
    }
    if let Some(secret) = &client.headers_from_secret {
        let _ = write!(text, ", headers from Secret {secret}");
    }
    if let Some(token) = &client.token {
        let _ = write!(text, ", with a token for {}", token.audience);
    }
    if let Some(ca) = &client.ca {
        let _ = write!(text, ", with the CA in {}", ca.title());
    }
    if let Some(proxy) = &client.proxy {
        let _ = write!(text, ", through {proxy}");
    }
    text
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Text in two columns.
struct Lines(String);

impl Lines {
    // Writing to a String cannot fail.
    fn line(&mut self, title: &str, text: &str) {
        let _ = writeln!(self.0, "  {title:<15} {text}");
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    fn part(&mut self, kind: &str, name: &str, text: &str) {
        let _ = writeln!(self.0, "  + {kind} {name}  {text}");
    }

    fn detail(&mut self, text: &str) {
        let _ = writeln!(self.0, "      - {text}");
    }
}
