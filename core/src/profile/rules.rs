//! Rules that a schema cannot express. The API server evaluates them in CEL. Profiles from files are checked
//! with equivalent Rust code. Each rule is defined here in both languages, with one message.
//!
//! Evaluating CEL would add an interpreter to a binary that runs in every pod. `core/tests/profiles` contains
//! a violation of each rule: a test checks that the Rust code refuses it, and a scenario that the API server
//! does, with the same message.

use std::collections::BTreeMap;

use bootlace_launch::handover::is_data_key;
use serde_json::{Value, json};

use super::env::ImageCommand;
use super::hook::{Hook, HookWhen};
use super::init_image::AllowedImage;
use super::object_store::{ObjectStore, ObjectStoreCredentials};
use super::oci::Oci;
use super::pipes::{Output, Pipe};
use super::remote::{Archive, Ca, Client, Header, Http, JsonPart, Method};
use super::source::SourceOrigin;
use super::spec::{BootProfileSpec, Env, EnvMode, Inline, Mounted, Resources, Source, SourceTarget, Volume};
use crate::entry;
use crate::pod::Resource;
use crate::quantity::Quantity;

/// A rule for a part of a profile.
pub struct Rule<T: 'static> {
    /// The rule in CEL. `self` is the part.
    cel: &'static str,
    /// Message if the rule is violated.
    message: &'static str,
    /// Whether the part complies with the rule.
    is_met: fn(&T) -> bool,
}

/// Memory that boot needs in addition to the content of the volume. The CEL rule contains the same value.
const BOOT_MEMORY_BYTES: u64 = 16 << 20;

pub(super) const SPEC: &[Rule<BootProfileSpec>] = &[
    Rule {
        cel: "self.hook.when != 'Never' || !(self.env.mode in ['Hook', 'File'])",
        message: "env.mode Hook and File require the postStart hook, but hook.when is Never: set hook.when \
                  to Auto, or set another env.mode",
        is_met: |part| part.hook.when != HookWhen::Never || !part.env.mode.needs_hook(),
    },
    Rule {
        cel: "!has(self.sources) || (has(self.env) && has(self.env.allow)) || self.sources.all(s, !has(s.inline) || \
          !has(s.inline.env) || s.inline.env.all(n, !(n in ['PATH', 'HOME', 'IFS', 'ENV', 'BASH_ENV', 'SHELLOPTS', \
          'BASHOPTS', 'PS4', 'GLIBC_TUNABLES', 'GCONV_PATH', 'LOCPATH', 'PYTHONPATH', 'PYTHONHOME', 'PYTHONUSERBASE', \
          'PYTHONSTARTUP', 'PYTHONWARNINGS', 'PYTHONBREAKPOINT', 'PERL5LIB', 'PERLLIB', 'PERL5OPT', 'PERL5DB', 'RUBYLIB', \
          'RUBYOPT', 'NODE_PATH', 'NODE_OPTIONS', 'CLASSPATH', 'JAVA_TOOL_OPTIONS', 'JDK_JAVA_OPTIONS', \
          '_JAVA_OPTIONS']) && !n.startsWith('LD_') && !n.startsWith('BASH_FUNC_')))",
        message: "inline.env sets a variable that controls which code runs (PATH, HOME, LD_*, PYTHONPATH \
                  and others): add it to env.allow, or remove it",
        is_met: |part| {
            let inline = part.sources.iter().filter_map(|source| source.inline.as_ref());
            let mut names = inline.flat_map(|inline| inline.env.keys());
            !part.env.allow.is_empty() || names.all(|name| entry::decides(name, &[]).is_none())
        },
    },
    Rule {
        cel: "!has(self.boot) || !has(self.boot.resources) || !has(self.boot.resources.limits) || \
              !('memory' in self.boot.resources.limits) || !isQuantity(self.boot.resources.limits['memory']) || \
              !has(self.volume) || !isQuantity(self.volume.sizeLimit) || \
              quantity(self.boot.resources.limits['memory']).compareTo(\
              quantity(self.volume.sizeLimit).add(quantity('16Mi'))) >= 0",
        message: "boot.resources.limits.memory must be at least volume.sizeLimit plus 16Mi, because the \
                  volume counts as memory of boot: raise it, lower volume.sizeLimit, or remove it",
        is_met: |part| fits_volume(Some(&part.boot.resources), part),
    },
    Rule {
        cel: "!has(self.boot) || !has(self.boot.initImage) || !has(self.boot.initImage.resources) || \
              !has(self.boot.initImage.resources.limits) || !('memory' in self.boot.initImage.resources.limits) || \
              !isQuantity(self.boot.initImage.resources.limits['memory']) || \
              !has(self.volume) || !isQuantity(self.volume.sizeLimit) || \
              quantity(self.boot.initImage.resources.limits['memory']).compareTo(\
              quantity(self.volume.sizeLimit).add(quantity('16Mi'))) >= 0",
        message: "boot.initImage.resources.limits.memory must be at least volume.sizeLimit plus 16Mi, \
                  because the volume counts as memory of the container: raise it, lower volume.sizeLimit, \
                  or remove it",
        is_met: |part| {
            let image = part.boot.init_image.as_ref();
            fits_volume(image.and_then(|image| image.resources.as_ref()), part)
        },
    },
];

fn fits_volume(resources: Option<&Resources>, profile: &BootProfileSpec) -> bool {
    let memory = resources.and_then(|resources| resources.limits.get("memory"));
    let limit = memory.and_then(|memory| Quantity::parse(memory).ok());
    let volume = Quantity::parse(&profile.volume.size_limit).ok();
    match (limit, volume) {
        (Some(limit), Some(volume)) => limit >= volume.plus(Quantity::from_bytes(BOOT_MEMORY_BYTES)),
        _ => true,
    }
}

pub(super) const HOOK: &[Rule<Hook>] = &[Rule {
    cel: "self.when != 'Never' || !has(self.commands) || self.commands.size() == 0",
    message: "commands require the postStart hook, but when is Never: remove commands, or set when to Auto",
    is_met: |part| part.when != HookWhen::Never || part.commands.is_empty(),
}];

pub(super) const RESOURCES: &[Rule<Resources>] = &[
    Rule {
        cel: "(!has(self.requests) || self.requests.all(k, isQuantity(self.requests[k]))) && \
              (!has(self.limits) || self.limits.all(k, isQuantity(self.limits[k])))",
        message: "every value in requests and limits must be a quantity: use a value such as 10m, 0.5, 64Mi \
                  or 1Gi",
        is_met: |part| quantities(part).all(|(_, value)| value.is_some()),
    },
    Rule {
        cel: "(!has(self.requests) || self.requests.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])) && \
              (!has(self.limits) || self.limits.all(k, k in ['cpu', 'memory', 'ephemeral-storage']))",
        message: "requests and limits must only contain cpu, memory and ephemeral-storage: remove the other \
                  resources",
        is_met: |part| {
            quantities(part).all(|(name, _)| Resource::ALL.iter().any(|resource| resource.name() == name))
        },
    },
    Rule {
        cel: "(!has(self.requests) || self.requests.all(k, !isQuantity(self.requests[k]) || \
              quantity(self.requests[k]).compareTo(quantity('0')) >= 0)) && (!has(self.limits) || self.limits.all(k, \
              !isQuantity(self.limits[k]) || quantity(self.limits[k]).compareTo(quantity('0')) > 0))",
        message: "requests must not be negative, and limits must be greater than zero: correct the value, \
                  or remove it",
        is_met: |part| {
            let is_right = |map: &BTreeMap<String, String>, zero| {
                let mut quantities = map.values().filter_map(|text| Quantity::parse(text).ok());
                quantities.all(|quantity| !quantity.is_negative() && (zero || !quantity.is_zero()))
            };
            is_right(&part.requests, true) && is_right(&part.limits, false)
        },
    },
    Rule {
        cel: "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || \
              !isQuantity(self.requests[k]) || !isQuantity(self.limits[k]) || \
              quantity(self.requests[k]).compareTo(quantity(self.limits[k])) <= 0)",
        message: "requests must not exceed limits: raise the limit, or lower the request",
        is_met: |part| {
            part.requests.iter().all(|(name, request)| {
                let limit = part.limits.get(name).and_then(|limit| Quantity::parse(limit).ok());
                Quantity::parse(request).ok().zip(limit).is_none_or(|(request, limit)| request <= limit)
            })
        },
    },
];

fn quantities(part: &Resources) -> impl Iterator<Item = (&str, Option<Quantity>)> {
    part.requests.iter().chain(&part.limits).map(|(name, text)| (&**name, Quantity::parse(text).ok()))
}

pub(super) const ALLOWED_IMAGE: &[Rule<AllowedImage>] = &[
    Rule {
        cel: "self.registry != 'index.docker.io'",
        message: "registry must not be index.docker.io, because images of Docker Hub are compared as \
                  docker.io: set registry to docker.io",
        is_met: |part| part.registry != "index.docker.io",
    },
    Rule {
        cel: "self.registry != 'docker.io' || self.repository == '**' || self.repository.contains('/')",
        message: "repository of docker.io must have two parts: use library/NAME for an official image",
        is_met: |part| {
            part.registry != "docker.io" || part.repository == "**" || part.repository.contains('/')
        },
    },
];

pub(super) const ENV: &[Rule<Env>] = &[Rule {
    cel: "self.mode != 'File' || (has(self.file) && self.file.keys.size() > 0)",
    message: "mode File requires file.keys: list the names of the variables there",
    is_met: |part| part.mode != EnvMode::File || !part.file.keys.is_empty(),
}];

pub(super) const IMAGE_COMMAND: &[Rule<ImageCommand>] = &[Rule {
    cel: "has(self.entrypoint) || has(self.cmd)",
    message: "entrypoint and cmd are both missing: set at least one of them",
    is_met: |part| !part.entrypoint.is_empty() || !part.cmd.is_empty(),
}];

pub(super) const VOLUME: &[Rule<Volume>] = &[Rule {
    cel: "isQuantity(self.sizeLimit) && quantity(self.sizeLimit).compareTo(quantity('0')) > 0",
    message: "sizeLimit must be a quantity greater than zero: use a value such as 64Mi",
    is_met: |part| Quantity::parse(&part.size_limit).is_ok_and(|size| size > Quantity::ZERO),
}];

pub(super) const SOURCE: &[Rule<Source>] = &[Rule {
    cel: "[has(self.inline), has(self.configMap), has(self.secret), has(self.http), has(self.optimus), \
          has(self.objectStore), has(self.oci), has(self.pipe)].filter(kind, kind).size() == 1",
    message: "a source must have exactly one kind: set one of inline, configMap, secret, http, optimus, \
              objectStore, oci or pipe",
    is_met: |source| source.origins().count() == 1,
}];

/// A valid path, except for its length: no part is empty, `.` or `..`. Templates are checked at admission.
macro_rules! is_path {
    ($path:literal) => {
        concat!("!(", $path, ").matches('(^|/)[.]{0,2}(/|$)')")
    };
}

fn is_path(path: &str) -> bool {
    path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

/// Whether it is the valid start of a path.
fn is_start_of_path(prefix: &str) -> bool {
    is_path(&format!("{prefix}x"))
}

fn is_template(text: &str) -> bool {
    text.contains('{')
}

/// Name of a variable as in Kubernetes. The equivalent regular expression is `^[ -<>-~]+$`.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

const PREFIX_OF_NAMES: &str = "prefix must consist of printable ASCII characters except =, because into is \
                               Env: correct it";
const PREFIX_OF_PATHS: &str = "prefix must be the start of a path relative to the assets folder: write it \
                               without a leading slash, and without empty parts, . and ..";
const PATH: &str = "file must be a path relative to the assets folder: write it without a leading or \
                    trailing slash, and without empty parts, . and ..";

/// Rules for keys of objects and files of outputs.
macro_rules! keys {
    ($part:ty) => {
        &[
            Rule {
                cel: "self.into != 'Env' || !has(self.items) || self.items.all(i, i.__as__.matches('^[ -<>-~]+$'))",
                message: "items[].as must consist of printable ASCII characters except =, because into is \
                          Env: correct it",
                is_met: |part: &$part| {
                    part.into != SourceTarget::Env || part.items.iter().all(|item| is_variable(&item.target))
                },
            },
            Rule {
                cel: "self.into != 'Env' || !has(self.prefix) || self.prefix.matches('^[ -<>-~]+$')",
                message: PREFIX_OF_NAMES,
                is_met: |part| part.into != SourceTarget::Env || part.prefix.is_empty() || is_variable(&part.prefix),
            },
            Rule {
                // With a prefix, the rule would exceed the cost budget of the API server.
                cel: concat!(
                    "self.into != 'Files' || !has(self.items) || has(self.prefix) || self.items.all(i, ",
                    is_path!("i.__as__"),
                    ")"
                ),
                message: "items[].as must be a path relative to the assets folder, because into is Files: \
                          write it without a leading or trailing slash, and without empty parts, . and ..",
                is_met: |part| {
                    let is_ours = part.into == SourceTarget::Files && part.prefix.is_empty();
                    !is_ours || part.items.iter().all(|item| is_path(&item.target))
                },
            },
            Rule {
                cel: concat!("self.into != 'Files' || !has(self.prefix) || ", is_path!("self.prefix + 'x'")),
                message: PREFIX_OF_PATHS,
                is_met: |part| part.into != SourceTarget::Files || is_start_of_path(&part.prefix),
            },
            Rule {
                cel: "!has(self.exclude) || !has(self.items)",
                message: "exclude and items are mutually exclusive: remove one of them",
                is_met: |part| part.exclude.is_empty() || part.items.is_empty(),
            },
        ]
    };
}

pub(super) const MOUNTED: &[Rule<Mounted>] = keys!(Mounted);

pub(super) const PIPE: &[Rule<Pipe>] = keys!(Pipe);

pub(super) const INLINE: &[Rule<Inline>] = &[Rule {
    // The length of map keys cannot be limited, so a regular expression would exceed the cost budget of the
    // API server.
    cel: "!has(self.files) || self.files.all(p, p != '' && p != '.' && p != '..' && !p.startsWith('/') && \
          !p.endsWith('/') && !p.startsWith('../') && !p.startsWith('./') && !p.endsWith('/..') && !p.endsWith('/.'))",
    message: "the keys of files must be paths relative to the assets folder: write them without a leading \
              or trailing slash, and without . and .. as parts",
    is_met: |part| {
        part.files.keys().all(|path| {
            let ends = [path.split('/').next(), path.rsplit('/').next()];
            ends.into_iter().flatten().all(|part| !["", ".", ".."].contains(&part))
        })
    },
}];

pub(super) const JSON_PART: &[Rule<JsonPart>] = &[
    Rule {
        cel: "self.into != 'Env' || !has(self.prefix) || self.prefix.matches('^[ -<>-~]+$')",
        message: PREFIX_OF_NAMES,
        is_met: |part| part.into != SourceTarget::Env || part.prefix.is_empty() || is_variable(&part.prefix),
    },
    Rule {
        cel: concat!(
            "self.into != 'Files' || !has(self.prefix) || self.prefix.contains('{') || ",
            is_path!("self.prefix + 'x'")
        ),
        message: PREFIX_OF_PATHS,
        is_met: |part| {
            part.into != SourceTarget::Files || is_template(&part.prefix) || is_start_of_path(&part.prefix)
        },
    },
];

pub(super) const ARCHIVE: &[Rule<Archive>] = &[Rule {
    cel: concat!("!has(self.prefix) || self.prefix.contains('{') || ", is_path!("self.prefix + 'x'")),
    message: PREFIX_OF_PATHS,
    is_met: |part| is_template(&part.prefix) || is_start_of_path(&part.prefix),
}];

pub(super) const OUTPUT: &[Rule<Output>] = &[
    Rule {
        cel: "self.key.matches('^[-._a-zA-Z0-9]+$') && self.key != '.' && !self.key.startsWith('..')",
        message: "key must consist of letters, digits, -, _ and ., and must not start with ..: correct it",
        is_met: |part| is_data_key(&part.key),
    },
    Rule {
        cel: "self.file.startsWith('/') && !self.file.endsWith('/')",
        message: "file must be an absolute path in the task container: use a path such as /out/report.json, \
                  or /out/*.json for several files",
        is_met: |part| part.file.starts_with('/') && !part.file.ends_with('/'),
    },
    Rule {
        cel: "!self.file.contains('**') && !self.file.matches('/[.][.]?(/|$)')",
        message: "file must not contain . or .. as a folder, or **: write the full path, with * for each \
                  folder that can have any name",
        is_met: |part| {
            !part.file.contains("**") && part.file.split('/').all(|part| part != "." && part != "..")
        },
    },
];

pub(super) const HTTP: &[Rule<Http>] = &[
    Rule {
        cel: "(has(self.file) ? 1 : 0) + (has(self.json) ? 1 : 0) + (has(self.archive) ? 1 : 0) == 1",
        message: "http must have exactly one of file, json and archive: set one of them",
        is_met: |part| exactly_one([part.file.is_some(), !part.json.is_empty(), part.archive.is_some()]),
    },
    Rule {
        cel: concat!("!has(self.file) || self.file.contains('{') || ", is_path!("self.file")),
        message: PATH,
        is_met: |part| part.file.as_deref().is_none_or(|file| is_template(file) || is_path(file)),
    },
    Rule {
        cel: "!has(self.body) || self.method == 'POST'",
        message: "body requires method POST: set method to POST, or remove body",
        is_met: |part| part.body.is_none() || part.method == Method::Post,
    },
];

pub(super) const OBJECT_STORE: &[Rule<ObjectStore>] = &[
    Rule {
        cel: "[has(self.s3), has(self.gcs), has(self.azure)].filter(store, store).size() == 1",
        message: "objectStore must have exactly one of s3, gcs and azure: set one of them",
        is_met: |part| exactly_one([part.s3.is_some(), part.gcs.is_some(), part.azure.is_some()]),
    },
    Rule {
        cel: "has(self.object) != has(self.prefix)",
        message: "objectStore must have exactly one of object and prefix: set one of them",
        is_met: |part| part.object.is_some() != part.prefix.is_some(),
    },
    Rule {
        cel: "!has(self.object) || [has(self.file), has(self.json), has(self.archive)].filter(kind, kind).size() == 1",
        message: "object requires exactly one of file, json and archive: set one of them",
        is_met: |part| {
            part.object.is_none()
                || exactly_one([part.file.is_some(), !part.json.is_empty(), part.archive.is_some()])
        },
    },
    Rule {
        cel: "!has(self.prefix) || !(has(self.file) || has(self.json) || has(self.archive) || has(self.sha256))",
        message: "file, json, archive and sha256 require object, not prefix: remove them, or set object",
        is_met: |part| {
            let of_an_object = part.file.is_some()
                || !part.json.is_empty()
                || part.archive.is_some()
                || part.sha256.is_some();
            part.prefix.is_none() || !of_an_object
        },
    },
    Rule {
        cel: "!has(self.folder) || has(self.prefix)",
        message: "folder requires prefix: for an object, set the path in file, json[].prefix or \
                  archive.prefix",
        is_met: |part| part.folder.is_none() || part.prefix.is_some(),
    },
    Rule {
        cel: concat!("!has(self.file) || self.file.contains('{') || ", is_path!("self.file")),
        message: PATH,
        is_met: |part| part.file.as_deref().is_none_or(|file| is_template(file) || is_path(file)),
    },
    Rule {
        cel: concat!("!has(self.folder) || self.folder.contains('{') || ", is_path!("self.folder")),
        message: "folder must be a path relative to the assets folder: write it without a leading or \
                  trailing slash, and without empty parts, . and ..",
        is_met: |part| part.folder.as_deref().is_none_or(|folder| is_template(folder) || is_path(folder)),
    },
];

pub(super) const CREDENTIALS: &[Rule<ObjectStoreCredentials>] = &[Rule {
    cel: "has(self.secret) != (has(self.anonymous) && self.anonymous)",
    message: "credentials must have exactly one of secret and anonymous: set one of them, or remove \
              credentials to use the workload identity of the pod",
    is_met: |part| part.secret.is_some() != part.anonymous,
}];

pub(super) const OCI: &[Rule<Oci>] = &[
    Rule {
        cel: "self.reference.matches('(:[^/:@]+|@sha256:[0-9a-f]{64})$')",
        message: "reference must end in a tag or a digest: use a reference such as \
                  registry.example.com/team/assets:v3 or …@sha256:…",
        is_met: |part| match part.reference.rsplit_once('@') {
            Some((_, digest)) => digest.strip_prefix("sha256:").is_some_and(|hex| {
                hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            }),
            None => {
                part.reference.rsplit_once(':').is_some_and(|(_, tag)| !tag.is_empty() && !tag.contains('/'))
            }
        },
    },
    Rule {
        cel: "!has(self.client) || !(has(self.client.headers) || has(self.client.headersFromSecret) || \
              has(self.client.token))",
        message: "client.headers, client.headersFromSecret and client.token are not supported for \
                  registries: remove them, and set pullSecret",
        is_met: |part| {
            let Client { headers, headers_from_secret, token, .. } = &part.client;
            headers.is_empty() && headers_from_secret.is_none() && token.is_none()
        },
    },
    Rule {
        cel: concat!("!has(self.prefix) || self.prefix.contains('{') || ", is_path!("self.prefix + 'x'")),
        message: PREFIX_OF_PATHS,
        is_met: |part| is_template(&part.prefix) || is_start_of_path(&part.prefix),
    },
];

pub(super) const CA: &[Rule<Ca>] = &[Rule {
    cel: "has(self.configMap) != has(self.secret)",
    message: "ca must have exactly one of configMap and secret: set one of them",
    is_met: |part| part.config_map.is_some() != part.secret.is_some(),
}];

pub(super) const HEADER: &[Rule<Header>] = &[
    Rule {
        cel: "!(self.name.lowerAscii() in ['authorization', 'cookie', 'proxy-authorization'])",
        message: "the header is a credential, which would be visible in the spec of every pod: put it in \
                  the Secret of headersFromSecret",
        is_met: |part| {
            !contains_ignoring_case(&part.name, &["authorization", "cookie", "proxy-authorization"])
        },
    },
    Rule {
        cel: "!(self.name.lowerAscii() in ['connection', 'content-length', 'content-type', 'host', 'transfer-encoding'])",
        message: "the header is set by boot: remove it, or set contentType of the request",
        is_met: |part| {
            let own = ["connection", "content-length", "content-type", "host", "transfer-encoding"];
            !contains_ignoring_case(&part.name, &own)
        },
    },
];

fn exactly_one<const N: usize>(things: [bool; N]) -> bool {
    things.into_iter().filter(|thing| *thing).count() == 1
}

fn contains_ignoring_case(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Rules in the format of the API server.
pub(super) fn cel<T>(rules: &[Rule<T>]) -> Value {
    rules.iter().map(|rule| json!({"rule": rule.cel, "message": rule.message})).collect()
}

/// A rule that a profile violates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BrokenRule {
    /// The part that violates it: `spec.sources[1].http`.
    pub field: String,
    /// The message of the rule.
    pub message: String,
}

/// Checks `spec` like the API server.
///
/// # Errors
/// The first violated rule.
pub fn check(spec: &BootProfileSpec) -> Result<(), BrokenRule> {
    all(SPEC, "spec", spec)?;
    all(HOOK, "spec.hook", &spec.hook)?;
    all(RESOURCES, "spec.boot.resources", &spec.boot.resources)?;
    if let Some(part) = &spec.boot.init_image {
        for (position, image) in part.allow.iter().enumerate() {
            all(ALLOWED_IMAGE, &format!("spec.boot.initImage.allow[{position}]"), image)?;
        }
        if let Some(resources) = &part.resources {
            all(RESOURCES, "spec.boot.initImage.resources", resources)?;
        }
    }
    all(VOLUME, "spec.volume", &spec.volume)?;
    all(ENV, "spec.env", &spec.env)?;
    for (position, image) in spec.env.images.iter().enumerate() {
        all(IMAGE_COMMAND, &format!("spec.env.images[{position}]"), image)?;
    }
    for (position, source) in spec.sources.iter().enumerate() {
        let field = format!("spec.sources[{position}]");
        if spec.sources.iter().take(position).any(|earlier| earlier.name == source.name) {
            return Err(twice(field, "name", &source.name));
        }
        all(SOURCE, &field, source)?;
        let origin = source.origin();
        let field = format!("{field}.{}", origin.field());
        if let Some(settings) = origin.client() {
            client(&field, settings)?;
        }
        match origin {
            SourceOrigin::Inline(inline) => all(INLINE, &field, inline)?,
            SourceOrigin::ConfigMap(object) | SourceOrigin::Secret(object) => all(MOUNTED, &field, object)?,
            SourceOrigin::Http(http) => {
                all(HTTP, &field, http)?;
                check_target(&field, &http.json, http.archive.as_ref())?;
            }
            SourceOrigin::Optimus(_) => {}
            SourceOrigin::ObjectStore(store) => {
                all(OBJECT_STORE, &field, store)?;
                check_target(&field, &store.json, store.archive.as_ref())?;
                optional(CREDENTIALS, &format!("{field}.credentials"), store.credentials.as_ref())?;
                optional(CA, &format!("{field}.client.ca"), store.client.ca.as_ref())?;
            }
            SourceOrigin::Oci(oci) => all(OCI, &field, oci)?,
            SourceOrigin::Pipe(pipe) => all(PIPE, &field, pipe)?,
        }
    }
    for (position, part) in spec.pipes.outputs.iter().enumerate() {
        let field = format!("spec.pipes.outputs[{position}]");
        if spec.pipes.outputs.iter().take(position).any(|earlier| earlier.key == part.key) {
            return Err(twice(field, "key", &part.key));
        }
        output(&field, part)?;
    }
    optional(RESOURCES, "spec.pipes.resources", spec.pipes.resources.as_ref())
}

/// Checks how a response or an object is used.
fn check_target(field: &str, json: &[JsonPart], archive: Option<&Archive>) -> Result<(), BrokenRule> {
    for (position, part) in json.iter().enumerate() {
        all(JSON_PART, &format!("{field}.json[{position}]"), part)?;
    }
    optional(ARCHIVE, &format!("{field}.archive"), archive)
}

/// Checks an output of a profile or a pod.
///
/// # Errors
/// The first violated rule.
pub fn output(field: &str, part: &Output) -> Result<(), BrokenRule> {
    all(OUTPUT, field, part)
}

fn client(field: &str, part: &Client) -> Result<(), BrokenRule> {
    for (position, header) in part.headers.iter().enumerate() {
        let field = format!("{field}.client.headers[{position}]");
        if part.headers.iter().take(position).any(|earlier| earlier.name == header.name) {
            return Err(twice(field, "name", &header.name));
        }
        all(HEADER, &field, header)?;
    }
    optional(CA, &format!("{field}.client.ca"), part.ca.as_ref())
}

fn optional<T>(rules: &[Rule<T>], field: &str, part: Option<&T>) -> Result<(), BrokenRule> {
    part.map_or(Ok(()), |part| all(rules, field, part))
}

fn all<T>(rules: &[Rule<T>], field: &str, part: &T) -> Result<(), BrokenRule> {
    match rules.iter().find(|rule| !(rule.is_met)(part)) {
        None => Ok(()),
        Some(rule) => Err(BrokenRule { field: field.to_owned(), message: rule.message.to_owned() }),
    }
}

/// Two entries of a list with the same `key`, with the message of the API server.
fn twice(field: String, key: &str, value: &str) -> BrokenRule {
    BrokenRule { field, message: format!("Duplicate value: {}", json!({ key: value })) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::CustomResourceExt as _;

    use super::*;
    use crate::profile::BootProfile;

    /// A violation of a rule, with its field and message. The scenario `refused` sends the same to an API
    /// server.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        field: String,
        message: String,
        spec: Value,
    }

    fn samples() -> Vec<Sample> {
        serde_saphyr::from_str(include_str!("../../tests/profiles/refused.yaml")).unwrap()
    }

    #[test]
    fn a_violation_of_a_rule_is_refused_with_its_message() {
        for Sample { field, message, spec } in samples() {
            let spec: BootProfileSpec = serde_json::from_value(spec).unwrap();
            assert_eq!(check(&spec), Err(BrokenRule { field, message }));
        }
    }

    /// Every rule of the CRD, at each of its places.
    #[test]
    fn each_rule_of_the_crd_has_an_equivalent_in_rust() {
        fn collect(schema: &Value, field: &str, rules: &mut BTreeSet<(String, String)>) {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                rules.insert((field.to_owned(), rule["message"].as_str().unwrap().to_owned()));
            }
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                collect(schema, &format!("{field}.{name}"), rules);
            }
            if schema["items"].is_object() {
                collect(&schema["items"], &format!("{field}[0]"), rules);
            }
        }
        let crd = serde_json::to_value(BootProfile::crd()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut rules = BTreeSet::new();
        collect(spec, "spec", &mut rules);
        assert!(rules.len() > 10, "{rules:?}");
        let known: BTreeSet<_> = samples().into_iter().map(|sample| (sample.field, sample.message)).collect();
        let missing: Vec<_> = rules.difference(&known).collect();
        assert!(
            missing.is_empty(),
            "core/tests/profiles/refused.yaml contains nothing that breaks {missing:#?}"
        );
    }

    /// The rule lists the names, because its text is a constant.
    #[test]
    fn the_rule_on_reserved_names_lists_all_of_them() {
        let cel = SPEC.iter().map(|rule| rule.cel).find(|cel| cel.contains("s.inline.env")).unwrap();
        for (pattern, _) in entry::RESERVED {
            let listed = match pattern.strip_suffix('*') {
                Some(start) => format!("!n.startsWith('{start}')"),
                None => format!("'{pattern}'"),
            };
            assert!(cel.contains(&listed), "{listed}");
        }
        assert_eq!(cel.matches('\'').count(), 2 * entry::RESERVED.len(), "{cel}");
    }
}
