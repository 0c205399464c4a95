//! An injected pod, in words.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::Value;

use super::hook::{self, EnvArguments, Hook};
use super::{inputs, outputs};
use crate::boot;
use bootlace_core::identity::Schedulers;
use bootlace_core::names;
use bootlace_core::plan::boot_spec::{BootSource, SourceKind};
use bootlace_core::plan::{BootSpec, InjectedAnnotation};
use bootlace_core::pod::{Container, Json, List, Pod};
use bootlace_core::profile::object_store::{ObjectStore, ObjectStoreClient, ObjectStoreCredentials};
use bootlace_core::profile::remote::{Client, JsonPart, Optimus};
use bootlace_core::profile::spec::SourceTarget;
use bootlace_core::selection::{MatchReason, Selection, SkipReason, select};

/// A pod that carries all that Bootlace injects, part by part.
pub(super) fn describe(
    injected: &Value,
    left: &[String],
    warnings: &[String],
    schedulers: &Schedulers,
) -> anyhow::Result<String> {
    let json = Json::from(injected);
    let pod = Pod::read(&json)?;
    let mark =
        pod.annotations.get(names::ANNOTATION_INJECTED).context("the pod holds no injected annotation")?;
    let mark: InjectedAnnotation = serde_json::from_str(mark)
        .with_context(|| format!("the annotation {} cannot be read", names::ANNOTATION_INJECTED))?;
    let spec = boot_spec(injected)?;
    let mut out = Lines(String::new());

    let maker =
        schedulers.detect(&pod).map_or("nobody that Bootlace knows", |scheduler| &**scheduler.title());
    match spec.task.describe() {
        task if task.is_empty() => out.line("made by", maker),
        task => out.line("made by", &format!("{maker}: {task}")),
    }
    out.line("a task because", &because(&pod, schedulers).to_string());
    out.line(
        "boots with",
        &format!("BootProfile {}, generation {} (Bootlace {})", mark.profile, mark.generation, mark.version),
    );
    if !mark.because.is_empty() {
        out.line("env by", &format!("{}: {}", mark.env_mode.as_str(), mark.because));
    }
    out.gap();

    wait(&mut out, injected)?;
    if let Some(init) = init_container(injected, names::CONTAINER_INIT) {
        let image = init.get("image").and_then(Value::as_str).unwrap_or("an image without a name");
        out.part(
            "init container",
            names::CONTAINER_INSTALL,
            "puts the launcher onto the volume, which ends the next one at its time",
        );
        let text = format!("runs the pod's own boot image {image}, for {} s at most:", spec.timeout_seconds);
        out.part("init container", names::CONTAINER_INIT, &text);
        out.detail(&launched_command(init).join(" "));
    }
    let boot = init_container(injected, names::CONTAINER_BOOT).context("the pod holds no boot container")?;
    let image = boot.get("image").and_then(Value::as_str).unwrap_or("its default image");
    out.part(
        "init container",
        names::CONTAINER_BOOT,
        &format!("runs {image} before the task and fetches, in order:"),
    );
    if spec.sources.is_empty() {
        out.detail("nothing: the profile lists no sources");
    }
    for source in spec.sources.iter() {
        out.detail(&format!("{}: {}", source.name, what(source)));
    }
    let size = volume_size(injected).unwrap_or("no");
    out.part(
        "volume",
        names::VOLUME,
        &format!("carries it from boot to the task, in memory (limit {size}), read-only for the task"),
    );
    if spec.http_get {
        out.detail("the launcher there is the one with TLS, 1.7 MB, because a postStart is an httpGet");
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
    for taken in left {
        out.part("pipe", taken, "");
    }
    for warning in warnings {
        out.part("warning", warning, "");
    }
    Ok(out.0)
}

/// A task container.
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
    let hook = post_start.and_then(Hook::read);
    let env = EnvArguments {
        launched,
        secret,
        by_file: reads_file(at("env")),
        layout: spec.layout,
        told: hook.as_ref().and_then(Hook::env),
    };
    out.detail(&env.describe());
    match hook {
        None if container.ends_before_tasks() => {
            out.detail(
                "no postStart hook, because Kubernetes runs none in an init container: nothing is proven",
            );
        }
        Some(hook) => out.detail(&hook.describe(mark.hook_when, &env)),
        None => out.detail(&hook::describe_absent(mark.hook_when, &env, post_start.is_some())),
    }
    if let Some(kept) = spec.keep.get(name).filter(|kept| !kept.is_empty()) {
        out.detail(&format!("set by the pod itself, so kept over the boot env: {}", kept.join(", ")));
    }
    if spec.held.contains_key(name) {
        out.detail("its envFrom is kept over the boot env, too: boot looks at the names");
    }
    let texts = spec.references.get(name).map_or(0, Vec::len);
    if texts > 0 {
        out.detail(&format!("the launcher resolves $(NAME) in {texts} of its arguments and variables"));
    }
}

/// The init containers that are no tasks and see what boot fetched.
fn others(out: &mut Lines, injected: &Value, pod: &Pod<'_>, mark: &InjectedAnnotation) {
    for container in &pod.init_containers {
        let sees_files = !names::is_own_container(container.name)
            && !mark.containers.iter().any(|name| name == container.name)
            && container.mounts.iter().flatten().any(|mount| mount.volume == names::VOLUME);
        if sees_files {
            out.part("init container", container.name, "is no task, and sees what boot fetched:");
            let list = format!("/spec/initContainers/{}/volumeMounts", container.index);
            for path in mounts(injected.pointer(&list)) {
                out.detail(&path);
            }
        }
    }
}

/// The containers that wait for what the pod takes from earlier tasks.
fn wait(out: &mut Lines, injected: &Value) -> anyhow::Result<()> {
    let awaited = inputs::describe(injected)?;
    if !awaited.is_empty() {
        out.part("init container", names::CONTAINER_WAIT, "waits until the store has:");
        for line in &awaited {
            out.detail(line);
        }
    }
    if init_container(injected, names::CONTAINER_VOLUME_WAIT).is_some() {
        let text = "sees to it that the kubelet has brought that into the pod's volumes";
        out.part("init container", names::CONTAINER_VOLUME_WAIT, text);
    }
    Ok(())
}

/// Why the pod is a task; its being injected already is no reason of its own.
fn because(pod: &Pod<'_>, schedulers: &Schedulers) -> MatchReason {
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

/// What the launcher starts in a container.
fn launched_command(container: &Value) -> Vec<&str> {
    let words = container.get("command").and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str).skip_while(|word| *word != "--").skip(1).collect()
}

pub(super) fn is_named(object: &Value, name: &str) -> bool {
    object.get("name").and_then(Value::as_str) == Some(name)
}

fn boot_spec(pod: &Value) -> anyhow::Result<BootSpec<'static>> {
    let env = init_container(pod, names::CONTAINER_BOOT)
        .and_then(|boot| boot.get("env")?.as_array())
        .context("boot has no env")?;
    let value = |name: &str| {
        let variable = env.iter().find(|variable| is_named(variable, name))?;
        variable.get("value")?.as_str().map(str::to_owned)
    };
    BootSpec::from_env(value).with_context(|| format!("boot's env {} cannot be read", names::ENV_BOOT_SPEC))
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
        let words = match mount.get("name")?.as_str()? {
            names::VOLUME if mount.get("subPath").is_some() => format!("its assets at {path}"),
            names::VOLUME => format!("everything else at {path}"),
            names::VOLUME_DATA => format!("around them a folder that it can write to, at {path}"),
            names::VOLUME_RUN => format!("what it hands over to the sidecar at {path}"),
            name if name.starts_with(names::VOLUME_PIPE_PREFIX) => {
                format!("what an earlier task handed over at {path}")
            }
            _ => return None,
        };
        Some(words)
    })
    .collect()
}

/// Whether a variable comes from the file that boot writes for the kubelet.
fn reads_file(env: Option<&Value>) -> bool {
    let variables = env.and_then(Value::as_array).into_iter().flatten();
    let mut volumes =
        variables.filter_map(|variable| variable.pointer("/valueFrom/fileKeyRef/volumeName")?.as_str());
    volumes.any(|volume| volume == names::VOLUME)
}

pub(super) fn is_launcher(word: &str) -> bool {
    word.strip_prefix(names::MOUNT).and_then(|rest| rest.strip_prefix('/')) == Some(names::FILE_LAUNCHER)
}

fn what(source: &BootSource) -> String {
    let address = match boot::address(&source.from) {
        Some(Ok(address)) => address,
        Some(Err(error)) => return format!("boot will refuse it: {error}"),
        None => String::new(),
    };
    match &source.from {
        SourceKind::Inline(inline) => {
            let (env, files) = (join(inline.env.keys()), join(inline.files.keys()));
            match (env.is_empty(), files.is_empty()) {
                (true, true) => "written in the profile, empty".to_owned(),
                (false, true) => format!("written in the profile: env {env}"),
                (true, false) => format!("written in the profile: files {files}"),
                (false, false) => format!("written in the profile: env {env}; files {files}"),
            }
        }
        SourceKind::Mounted(mounted) => {
            let into = match mounted.into {
                SourceTarget::Env => "env",
                SourceTarget::Files => "files",
            };
            let keys = if mounted.items.is_empty() {
                let but = if mounted.exclude.is_empty() { "" } else { " but " };
                format!("every key{but}{}", join(mounted.exclude.iter()))
            } else {
                join(mounted.items.iter().map(|item| &item.key))
            };
            let optional = if mounted.optional { ", where it exists" } else { "" };
            format!("{} {}{optional}: {keys} as {into}", mounted.kind, mounted.name)
        }
        SourceKind::Http(remote) => {
            let says = &remote.request;
            let becomes = becomes(says.file.as_deref(), says.archive.is_some(), &says.json);
            format!("{} {address}: {becomes}{}", says.method.as_str(), client(&says.client))
        }
        SourceKind::InitImage(_) => {
            "env and files that bootlace-init left, which win over all above".to_owned()
        }
        SourceKind::Optimus(remote) => {
            let says = &remote.request;
            let Optimus { project, job, .. } = &**says;
            format!(
                "Optimus, job {job} of {project}, by POST {address}: env and files{}",
                client(&says.client)
            )
        }
        SourceKind::ObjectStore(remote) => objects(&remote.request, &address),
        SourceKind::Oci(remote) => {
            let says = &remote.request;
            let files =
                if says.path.is_empty() { "files".to_owned() } else { format!("files of {}", says.path) };
            let secret = says.pull_secret.as_ref().map(|name| format!(", credentials from Secret {name}"));
            let plain = if says.plain_http { ", without TLS" } else { "" };
            format!(
                "OCI {} at {address}: {files}{}{plain}{}",
                says.reference,
                secret.unwrap_or_default(),
                client(&says.client)
            )
        }
    }
}

/// What is made of an answer or of an object.
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

/// Objects, and as whom they are asked for.
fn objects(says: &ObjectStore, address: &str) -> String {
    let becomes = match (&says.prefix, &says.folder) {
        (Some(_), Some(folder)) => format!("every object as a file below {folder}"),
        (Some(_), None) => "every object as a file".to_owned(),
        (None, _) => becomes(says.file.as_deref(), says.archive.is_some(), &says.json),
    };
    let credentials = match &says.credentials {
        None => "by the pod's workload identity".to_owned(),
        Some(ObjectStoreCredentials { secret: Some(secret), .. }) => {
            format!("credentials from Secret {secret}")
        }
        Some(_) => "without credentials".to_owned(),
    };
    let ObjectStoreClient { ca, proxy, .. } = &says.client;
    let client = client(&Client { ca: ca.clone(), proxy: proxy.clone(), ..Client::default() });
    format!("{address}: {becomes}, {credentials}{client}")
}

/// Who a request says it is, and whom it trusts.
fn client(says: &Client) -> String {
    let mut words = String::new();
    for header in &says.headers {
        let _ = write!(words, ", header {}", header.name);
    }
    if let Some(secret) = &says.headers_from_secret {
        let _ = write!(words, ", headers from Secret {secret}");
    }
    if let Some(token) = &says.token {
        let _ = write!(words, ", a token for {}", token.audience);
    }
    if let Some(ca) = &says.ca {
        let _ = write!(words, ", trusting the CA of {}", ca.title());
    }
    if let Some(proxy) = &says.proxy {
        let _ = write!(words, ", through {proxy}");
    }
    words
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Text in two columns.
struct Lines(String);

impl Lines {
    // Writing to a String cannot fail.
    fn line(&mut self, what: &str, text: &str) {
        let _ = writeln!(self.0, "  {what:<15} {text}");
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
