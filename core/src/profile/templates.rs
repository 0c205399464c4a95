//! Fields of a profile that can be templates, with their slots.
//!
//! To allow a template in another field, add it to the [`Templated`] implementation of its source. It is then
//! checked when the profile is read and rendered at admission, and its slot escapes the values of the pod. A
//! source without templates needs an implementation of the trait, and an entry in [`templated`].

use std::collections::BTreeMap;

use super::context::{self, RunContext};
use super::hooks::{HookRequest, Hooks, RequestHook};
use super::inline::Inline;
use super::mounted::SourceTarget;
use super::object_store::ObjectStore;
use super::oci::Oci;
use super::remote::{Client, Http, Optimus};
use super::source::Source;
use super::vault::Vault;
use super::volume::{CLAIM_NAME, VolumeSource};
use crate::template::{
    self, ABORT_VARIABLES, Context, InvalidTemplateSyntax, POST_KILL_VARIABLES, RenderError, Slot,
};

/// Why a template is invalid, or cannot be rendered for a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}, {field}: {error}")]
pub struct InvalidTemplate {
    /// The part of the profile: `source "settings"`.
    pub part: String,
    /// Field of the part: `inline.env.DAY`.
    pub field: String,
    /// The error.
    pub error: Box<FieldError>,
}

/// Error of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// It cannot work for any pod.
    #[error(transparent)]
    Unreadable(#[from] InvalidTemplateSyntax),
    /// It cannot be rendered for this pod.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Templates are not allowed in the field.
    #[error("a template is not allowed here: {0}")]
    Fixed(&'static str),
    /// The result has another format.
    #[error("{value:?} is not {expected}: correct it")]
    Format {
        /// The result.
        value: String,
        /// The format.
        expected: &'static str,
    },
    /// Two paths are equal after rendering.
    #[error("{path:?} is also the path of another file of this source: rename one of them")]
    Twice {
        /// The path.
        path: String,
    },
}

/// A field of a source, and why its value cannot be used.
pub type InvalidField = (&'static str, FieldError);

/// Checks all templates of `sources`, and returns the indexes of the sources with templates.
///
/// # Errors
/// If a template cannot work for any pod. The error names source and field.
pub fn check(sources: &[Source]) -> Result<Vec<usize>, InvalidTemplate> {
    let mut positions = Vec::new();
    for (position, source) in sources.iter().enumerate() {
        let mut any = false;
        visit(&mut source.clone(), &mut |text, slot| {
            any = true;
            Ok(template::check(text, slot)?)
        })?;
        positions.extend(any.then_some(position));
    }
    Ok(positions)
}

/// Whether `source` has templates.
pub(crate) fn has_templates(source: &Source) -> bool {
    let mut any = false;
    // A field that must not be a template is reported when the profile is read.
    let visited = visit(&mut source.clone(), &mut |_, _| {
        any = true;
        Ok(())
    });
    any || visited.is_err()
}

/// Renders all templates of `source` with `context`.
///
/// # Errors
/// If a template cannot be rendered. The error names source and field.
pub fn fill(source: &mut Source, context: &Context) -> Result<(), InvalidTemplate> {
    visit(source, &mut |text, slot| {
        *text = template::render(text, context, slot)?;
        Ok(())
    })
}

/// The operation for each template.
type Work<'w> = dyn FnMut(&mut String, Slot) -> Result<(), FieldError> + 'w;

/// Calls `work` for each field of `source` that is a template.
fn visit(source: &mut Source, work: &mut Work<'_>) -> Result<(), InvalidTemplate> {
    let mut fields = TemplateFields { work };
    let visited = templated(source).map_or(Ok(()), |source| source.templates(&mut fields));
    visited.map_err(|(field, error)| InvalidTemplate {
        part: format!("source {:?}", source.name),
        field,
        error: Box::new(error),
    })
}

/// A list of hooks whose requests can be templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookList {
    /// `hooks.postKill`.
    PostKill,
    /// `hooks.abort`.
    Abort,
}

impl HookList {
    /// The name of its field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PostKill => "postKill",
            Self::Abort => "abort",
        }
    }

    /// The hooks of the list.
    #[must_use]
    pub fn of(self, hooks: &Hooks) -> &[RequestHook] {
        match self {
            Self::PostKill => &hooks.post_kill,
            Self::Abort => &hooks.abort,
        }
    }

    fn variables(self) -> &'static [&'static str] {
        match self {
            Self::PostKill => POST_KILL_VARIABLES,
            Self::Abort => ABORT_VARIABLES,
        }
    }
}

/// Checks all templates of hooks.
///
/// # Errors
/// If a template cannot work for any pod. The error names hook and field.
pub fn check_hooks(hooks: &Hooks) -> Result<(), InvalidTemplate> {
    for list in [HookList::PostKill, HookList::Abort] {
        for hook in list.of(hooks) {
            visit_hook(list, &mut hook.clone(), &mut |text, slot| {
                Ok(template::check_with(text, slot, list.variables())?)
            })?;
        }
    }
    Ok(())
}

/// Renders all templates of a hook with `context`.
///
/// # Errors
/// If a template cannot be rendered. The error names hook and field.
pub fn fill_hook(list: HookList, hook: &mut RequestHook, context: &Context) -> Result<(), InvalidTemplate> {
    visit_hook(list, hook, &mut |text, slot| {
        *text = template::render(text, context, slot)?;
        Ok(())
    })
}

/// Calls `work` for each field of `hook` that is a template.
fn visit_hook(list: HookList, hook: &mut RequestHook, work: &mut Work<'_>) -> Result<(), InvalidTemplate> {
    let mut fields = TemplateFields { work };
    let visited = hook.http.as_mut().map_or(Ok(()), |request| request.templates(&mut fields));
    visited.map_err(|(field, error)| InvalidTemplate {
        part: format!("{} hook {:?}", list.as_str(), hook.name),
        field,
        error: Box::new(error),
    })
}

/// The kind of a source if it supports templates; else `None`.
fn templated(source: &mut Source) -> Option<&mut dyn Templated> {
    let Source {
        inline,
        http,
        optimus,
        object_store,
        oci,
        vault,
        context,
        volume,
        config_map: _,
        secret: _,
        pipe: _,
        name: _,
        optional: _,
        limits: _,
    } = source;
    let inline = inline.as_mut().map(|kind| kind as &mut dyn Templated);
    let http = http.as_mut().map(|kind| kind as &mut dyn Templated);
    let optimus = optimus.as_mut().map(|kind| kind as &mut dyn Templated);
    let object_store = object_store.as_mut().map(|kind| kind as &mut dyn Templated);
    let oci = oci.as_mut().map(|kind| kind as &mut dyn Templated);
    let vault = vault.as_mut().map(|kind| kind as &mut dyn Templated);
    let context = context.as_mut().map(|kind| kind as &mut dyn Templated);
    let volume = volume.as_mut().map(|kind| kind as &mut dyn Templated);
    inline.or(http).or(optimus).or(object_store).or(oci).or(vault).or(context).or(volume)
}

/// Why scheme and host cannot be templates.
const ADDRESS: &str = "a pod must not choose the server that Bootlace connects to; use a fixed address here, and templates \
                       in the other fields";

/// Why names cannot be templates.
const NAME: &str = "a pod must not choose the name; use a fixed name, and a template in the value";

/// Why the driver of a volume cannot be a template.
const DRIVER: &str =
    "a pod must not choose the driver; use a fixed name here, and templates in the attributes";

/// A part of a source with fields that can be templates.
trait Templated {
    /// Passes each of them to `fields`, with its slot.
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited;
}

impl Templated for Inline {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        self.env.keys().try_for_each(|name| fixed("name in inline.env", name, NAME))?;
        fields.values("inline.env", &mut self.env, Slot::Text)?;
        fields.values("inline.files", &mut self.files, Slot::Text)?;
        fields.keys("inline.files", &mut self.files, Slot::FilePath)
    }
}

impl Templated for Http {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        let content = self.body.as_mut().map(|body| (body, &*self.content_type));
        request(fields, &self.url, &mut self.path, &mut self.query, content)?;
        if let Some(file) = &mut self.file {
            fields.text("http.file", file, Slot::FilePath)?;
        }
        for part in self.json.iter_mut().filter(|part| part.into == SourceTarget::Files) {
            fields.text("http.json[].prefix", &mut part.prefix, Slot::FilePath)?;
        }
        if let Some(archive) = &mut self.archive {
            fields.text("http.archive.path", &mut archive.path, Slot::FilePath)?;
            fields.text("http.archive.prefix", &mut archive.prefix, Slot::FilePath)?;
        }
        self.client.templates(fields)
    }
}

impl Templated for HookRequest {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        let content = self.body.as_mut().map(|body| (body, &*self.content_type));
        request(fields, &self.url, &mut self.path, &mut self.query, content)?;
        self.client.templates(fields)
    }
}

/// The parts of a request to an address of the profile. `content` is its body and the type of the body.
fn request(
    fields: &mut TemplateFields<'_, '_>,
    url: &str,
    path: &mut String,
    query: &mut BTreeMap<String, String>,
    content: Option<(&mut String, &str)>,
) -> Visited {
    fixed("http.url", url, ADDRESS)?;
    fields.text("http.path", path, Slot::UrlPath)?;
    query.keys().try_for_each(|name| fixed("name in http.query", name, NAME))?;
    // The query is encoded when it is sent, so values are plain text here.
    fields.values("http.query", query, Slot::Text)?;
    match content.map(|(body, content_type)| (body_slot(content_type), body)) {
        Some((Some(slot), body)) => fields.text("http.body", body, slot),
        Some((None, body)) => fixed("http.body", body, BODY),
        None => Ok(()),
    }
}

impl Templated for Optimus {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        fixed("optimus.host", &self.host, ADDRESS)?;
        // Boot encodes these for the path and the body.
        fields.text("optimus.project", &mut self.project, Slot::Name)?;
        fields.text("optimus.job", &mut self.job, Slot::Name)?;
        fields.text("optimus.scheduledAt", &mut self.scheduled_at, Slot::Name)?;
        fields.text("optimus.instanceName", &mut self.instance_name, Slot::Name)?;
        self.client.templates(fields)
    }
}

impl Templated for ObjectStore {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        let endpoints = [
            ("objectStore.s3.endpoint", self.s3.as_ref().and_then(|store| store.endpoint.as_deref())),
            ("objectStore.gcs.endpoint", self.gcs.as_ref().and_then(|store| store.endpoint.as_deref())),
            ("objectStore.azure.endpoint", self.azure.as_ref().and_then(|store| store.endpoint.as_deref())),
            ("client.proxy", self.client.proxy.as_deref()),
        ];
        for (field, address) in endpoints {
            fixed(field, address.unwrap_or_default(), ADDRESS)?;
        }
        // The parts of a key are names, like those of a path: a value is (part of) one.
        for (field, key) in [
            ("objectStore.object", &mut self.object),
            ("objectStore.prefix", &mut self.prefix),
            ("objectStore.folder", &mut self.folder),
            ("objectStore.file", &mut self.file),
        ] {
            if let Some(key) = key {
                fields.text(field, key, Slot::FilePath)?;
            }
        }
        for part in self.json.iter_mut().filter(|part| part.into == SourceTarget::Files) {
            fields.text("objectStore.json[].prefix", &mut part.prefix, Slot::FilePath)?;
        }
        if let Some(archive) = &mut self.archive {
            fields.text("objectStore.archive.path", &mut archive.path, Slot::FilePath)?;
            fields.text("objectStore.archive.prefix", &mut archive.prefix, Slot::FilePath)?;
        }
        Ok(())
    }
}

impl Templated for Oci {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        // A reference without a slash has no registry, and a value could become one.
        let registry = self.reference.split_once('/').map_or(&*self.reference, |(registry, _)| registry);
        fixed("registry of oci.reference", registry, ADDRESS)?;
        fields.text("oci.reference", &mut self.reference, Slot::ImageReference)?;
        fields.text("oci.path", &mut self.path, Slot::FilePath)?;
        fields.text("oci.prefix", &mut self.prefix, Slot::FilePath)?;
        self.client.templates(fields)
    }
}

impl Templated for Vault {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        fixed("vault.address", &self.address, ADDRESS)?;
        for (field, name) in [("vault.namespace", &self.namespace), ("vault.auth.mount", &self.auth.mount)] {
            fixed(field, name.as_deref().unwrap_or_default(), NAME)?;
        }
        // Boot encodes it for the body.
        fields.text("vault.auth.role", &mut self.auth.role, Slot::Name)?;
        for secret in &mut self.secrets {
            fixed("vault.secrets[].mount", &secret.mount, NAME)?;
            // Vault decodes a path before it splits it, so an encoded slash would end a part too.
            fields.text("vault.secrets[].path", &mut secret.path, Slot::FilePath)?;
            if let Some(data) = &mut secret.data {
                let (field, name) = ("vault.secrets[].data", "name in vault.secrets[].data");
                data.keys().try_for_each(|key| fixed(name, key, NAME))?;
                fields.values(field, data, Slot::Text)?;
            }
        }
        self.client.templates(fields)
    }
}

impl Templated for RunContext {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        if let Some(telemetry) = &mut self.open_telemetry {
            // It separates the traces of clusters, which pods do not know.
            fixed("context.openTelemetry.cluster", telemetry.cluster.as_deref().unwrap_or_default(), NAME)?;
            if let Some(name) = &mut telemetry.service_name {
                fields.text("context.openTelemetry.serviceName", name, Slot::Text)?;
            }
            let (field, attributes) = ("context.openTelemetry.attributes", &mut telemetry.attributes);
            attributes
                .keys()
                .try_for_each(|name| fixed("name in context.openTelemetry.attributes", name, NAME))?;
            fields.values(field, attributes, Slot::Text)?;
        }
        if let Some(lineage) = &mut self.open_lineage {
            fields.text("context.openLineage.namespace", &mut lineage.namespace, Slot::Name)?;
            let airflow = &mut lineage.airflow;
            for (field, text) in [
                (context::LOGICAL_DATE, &mut airflow.logical_date),
                (context::CLEAR_NUMBER, &mut airflow.clear_number),
            ] {
                if let Some(text) = text {
                    fields.text(field, text, Slot::Text)?;
                }
            }
        }
        Ok(())
    }
}

impl Templated for VolumeSource {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        if let Some(csi) = &mut self.csi {
            fixed("volume.csi.driver", &csi.driver, DRIVER)?;
            let (field, attributes) = ("volume.csi.volumeAttributes", &mut csi.volume_attributes);
            attributes.keys().try_for_each(|name| fixed(&format!("name in {field}"), name, NAME))?;
            fields.values(field, attributes, Slot::Attribute)?;
        }
        if let Some(image) = &mut self.image {
            let registry =
                image.reference.split_once('/').map_or(&*image.reference, |(registry, _)| registry);
            fixed("registry of volume.image.reference", registry, ADDRESS)?;
            fields.text("volume.image.reference", &mut image.reference, Slot::ImageReference)?;
        }
        if let Some(claim) = &mut self.persistent_volume_claim {
            fields.text(CLAIM_NAME, &mut claim.claim_name, Slot::Attribute)?;
        }
        fields.text("volume.path", &mut self.path, Slot::FilePath)
    }
}

impl Templated for Client {
    fn templates(&mut self, fields: &mut TemplateFields<'_, '_>) -> Visited {
        if let Some(proxy) = &self.proxy {
            fixed("client.proxy", proxy, ADDRESS)?;
        }
        for header in &mut self.headers {
            fields.text(&format!("client.headers[{:?}]", header.name), &mut header.value, Slot::Header)?;
        }
        Ok(())
    }
}

/// Why a body of this type cannot be a template.
const BODY: &str = "values cannot be escaped for a body of this contentType; use JSON, \
                    application/x-www-form-urlencoded or text/plain";

/// Slot of a body of this type (RFC 9110, section 8.3.1: parameters can follow, and it is case-insensitive).
fn body_slot(content_type: &str) -> Option<Slot> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &*essence {
        "application/x-www-form-urlencoded" => Some(Slot::Form),
        "text/plain" => Some(Slot::Text),
        "application/json" => Some(Slot::Json),
        other if other.ends_with("+json") => Some(Slot::Json),
        _ => None,
    }
}

/// Receives the fields of a source, and processes those that are templates.
struct TemplateFields<'f, 'w> {
    work: &'f mut Work<'w>,
}

/// The field with an error, and the error.
type Visited = Result<(), (String, FieldError)>;

impl TemplateFields<'_, '_> {
    /// A field that can be a template.
    fn text(&mut self, field: &str, text: &mut String, slot: Slot) -> Visited {
        if !template::is_one(text) {
            return Ok(());
        }
        (self.work)(text, slot).map_err(|error| (field.to_owned(), error))
    }

    /// The values of a map.
    fn values(&mut self, field: &str, map: &mut BTreeMap<String, String>, slot: Slot) -> Visited {
        map.iter_mut().try_for_each(|(key, value)| self.text(&format!("{field}[{key:?}]"), value, slot))
    }

    /// The keys of a map, which are paths.
    fn keys(&mut self, field: &str, map: &mut BTreeMap<String, String>, slot: Slot) -> Visited {
        for (key, value) in std::mem::take(map) {
            let field = format!("path {key:?} in {field}");
            let mut path = key;
            self.text(&field, &mut path, slot)?;
            if map.insert(path.clone(), value).is_some() {
                return Err((field, FieldError::Twice { path }));
            }
        }
        Ok(())
    }
}

/// A field that cannot be a template, and the reason.
fn fixed(field: &str, text: &str, reason: &'static str) -> Visited {
    if template::is_one(text) { Err((field.to_owned(), FieldError::Fixed(reason))) } else { Ok(()) }
}
