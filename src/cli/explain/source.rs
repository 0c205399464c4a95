//! Describes a source that boot fetches.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::boot;
use bootlace_core::names;
use bootlace_core::plan::boot_spec::{BootSource, SourceKind};
use bootlace_core::profile::object_store::{ObjectStore, ObjectStoreClient, ObjectStoreCredentials};
use bootlace_core::profile::remote::{Client, JsonPart, Optimus};
use bootlace_core::profile::vault::{Vault, VaultAuth, VaultSecret};
use bootlace_core::profile::{Item, SourceTarget};

/// Describes a source: its address, its content and its credentials.
pub(super) fn describe(source: &BootSource) -> String {
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
            let optional = if mounted.optional { ", if it exists" } else { "" };
            let keys = keys("key", &mounted.items, &mounted.exclude, mounted.into);
            format!("{} {}{optional}: {keys}", mounted.kind, mounted.name)
        }
        SourceKind::Volume(volume) => {
            let folder =
                if volume.folder.is_empty() { String::new() } else { format!(", folder {}", volume.folder) };
            let optional = if volume.optional { ", if it has them" } else { "" };
            let files = keys("file", &volume.items, &volume.exclude, volume.into);
            format!("{}{folder}: {files}{optional}", volume.title())
        }
        SourceKind::Http(remote) => {
            let request = &remote.request;
            let becomes = becomes(request.file.as_deref(), request.archive.is_some(), &request.json);
            format!("{} {address}: {becomes}{}", request.method.as_str(), client(&request.client))
        }
        SourceKind::Context(context) => {
            let attributes = context.attributes.as_ref().map(|_| names::ENV_RESOURCE_ATTRIBUTES.to_owned());
            let names: BTreeSet<_> = context.env.keys().chain(&attributes).collect();
            if names.is_empty() {
                "context, empty".to_owned()
            } else {
                format!("context: env {}", join(names.into_iter()))
            }
        }
        SourceKind::Vault(source) => secrets(&source.remote.request, &address),
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

/// Describes the keys of an object, or the files of a volume, and what they become.
fn keys(name: &str, items: &[Item], exclude: &[String], into: SourceTarget) -> String {
    let into = match into {
        SourceTarget::Env => "env",
        SourceTarget::Files => "files",
    };
    if items.is_empty() {
        let except = if exclude.is_empty() { "" } else { " except " };
        format!("every {name}{except}{} as {into}", join(exclude.iter()))
    } else {
        format!("{} as {into}", join(items.iter().map(|item| &item.key)))
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

/// Describes secrets in Vault, and the login.
fn secrets(request: &Vault, login: &str) -> String {
    let secret = |secret: &VaultSecret| {
        let how = if secret.data.is_some() { ", created by a write" } else { "" };
        let keys = keys("key", &secret.items, &secret.exclude, secret.into);
        format!("{}{how}: {keys}", secret.api_path())
    };
    let read: Vec<_> = request.secrets.iter().map(secret).collect();
    let VaultAuth { role, token, .. } = &request.auth;
    let namespace = request.namespace.as_ref().map(|name| format!(" in namespace {name}"));
    format!(
        "Vault{}, with a login as role {role} by POST {login}, with a token for {}{}: {}",
        namespace.unwrap_or_default(),
        token.audience,
        client(&request.client),
        read.join("; ")
    )
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
