//! No value of a source appears anywhere but in the files of the task. The tests boot from every kind of
//! source, with marked values in its content and credentials, successfully and with failures.
//!
//! A new kind does not compile until it is added to [`Kind::new`], and fails until [`cases`] has a successful
//! boot and a failing one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bootlace_core::output;
use bootlace_core::plan::boot_spec::{BootSource, SourceKind};
use bootlace_test_registry::{Blob, manifest};
use serde_json::{Value, json};

use crate::http::server::{self, Asked, Reply, Server, ok, status};
use crate::oci;
use crate::process;
use crate::support::{Container, inline, mounted, spec};
use crate::vault;
use crate::volume;

/// A value that must not appear. Its parts must not appear either, so it has no common words.
pub(crate) const MARK: &str = "zq7Xv0hunter2";

/// The kinds of sources in a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Inline,
    ConfigMap,
    Secret,
    Http,
    Optimus,
    ObjectStore,
    Oci,
    Vault,
    Context,
    Volume,
    InitImage,
}

impl Kind {
    /// Add new kinds here, and to [`Self::ALL`].
    fn new(source: &Value) -> Self {
        let source: BootSource = serde_json::from_value(source.clone()).unwrap();
        match source.from {
            SourceKind::Inline(_) => Self::Inline,
            SourceKind::Mounted(object) => match object.kind {
                output::ObjectKind::ConfigMap => Self::ConfigMap,
                output::ObjectKind::Secret => Self::Secret,
            },
            SourceKind::Http(_) => Self::Http,
            SourceKind::Optimus(_) => Self::Optimus,
            SourceKind::ObjectStore(_) => Self::ObjectStore,
            SourceKind::Oci(_) => Self::Oci,
            SourceKind::Vault(_) => Self::Vault,
            SourceKind::Context(_) => Self::Context,
            SourceKind::Volume(_) => Self::Volume,
            SourceKind::InitImage(_) => Self::InitImage,
        }
    }

    const ALL: [Self; 11] = [
        Self::Inline,
        Self::ConfigMap,
        Self::Secret,
        Self::Http,
        Self::Optimus,
        Self::ObjectStore,
        Self::Oci,
        Self::Vault,
        Self::Context,
        Self::Volume,
        Self::InitImage,
    ];
}

/// Servers that respond with marked values, and echo the headers of requests.
struct Servers {
    tls: Server,
}

fn answer(asked: &Asked, _: usize) -> Reply {
    let target = asked.line.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    // All headers of the request, in the only message of a response that boot repeats.
    let echo = asked.headers.join(" ").replace(['"', '\\'], "");
    match path {
        "/file" => ok(MARK),
        "/json" => {
            ok(json!({"env": {"TOKEN": MARK}, "files": {"a": MARK}, "list": [MARK], "text": MARK})
                .to_string())
        }
        "/list" => ok(json!({"TOKEN": [MARK]}).to_string()),
        "/no-json" => ok(format!("{{\"{MARK}\": {MARK}")),
        "/redirect" => {
            status(302, &[&format!("Location: http://u:{MARK}@elsewhere.invalid/?{MARK}#{MARK}")], MARK)
        }
        "/cut" => Reply::Cut(MARK.into()),
        "/assets/file" => object(MARK.into()),
        "/assets/json" => object(json!({"env": {"TOKEN": MARK}, "text": MARK}).to_string()),
        "/assets/refused" => {
            let body =
                format!("<Error><Code>AccessDenied</Code><Message>{echo}</Message><Key>{MARK}</Key></Error>");
            status(403, &[], &body)
        }
        "/assets/cut" => Reply::CutAfter(vec![], MARK.into()),
        "/assets" => status(403, &[], &format!("{MARK} {echo}")),
        "/api/v1beta1/project/p/job/good/run_input" => {
            ok(json!({"envs": {"A": MARK}, "files": {"q.sql": MARK}, "secrets": {"KEY": MARK}}).to_string())
        }
        "/api/v1beta1/project/p/job/no-value/run_input" => {
            ok(json!({"secrets": {"KEY": format!("{MARK} <no value>")}}).to_string())
        }
        "/api/v1beta1/project/p/job/nul/run_input" => {
            ok(json!({"secrets": {"KEY": format!("{MARK}\0")}}).to_string())
        }
        "/api/v1beta1/project/p/job/twice/run_input" => {
            ok(json!({"envs": {"KEY": MARK}, "secrets": {"KEY": MARK}}).to_string())
        }
        path if path.starts_with("/v1/") => vault::marked::answer(path, &echo, asked),
        path if path.starts_with("/v2/")
            && !asked.headers.iter().any(|line| line.starts_with("authorization: ")) =>
        {
            status(401, &["WWW-Authenticate: Basic realm=\"x\""], MARK)
        }
        "/v2/a/good/manifests/v1" => ok(artifact("a", &Blob::new("text/plain", MARK.as_bytes()))),
        "/v2/a/stray/manifests/v1" => ok(artifact("../a", &Blob::new("text/plain", MARK.as_bytes()))),
        "/v2/a/changed/manifests/v1" => ok(artifact("a", &Blob::new("text/plain", b"another"))),
        path if path.starts_with("/v2/") && path.contains("/blobs/") => ok(MARK),
        "/v2/a/refused/manifests/v1" => {
            status(403, &[], &json!({"errors": [{"code": "DENIED", "message": echo}]}).to_string())
        }
        path if path.ends_with("/run_input") => {
            status(404, &[], &json!({"code": 5, "message": format!("no such job, {echo}")}).to_string())
        }
        _ => status(403, &[&format!("X-Why: {MARK}")], &format!("{MARK} {echo}")),
    }
}

/// An object of a store.
fn object(content: String) -> Reply {
    let headers = ["ETag: \"1\"", "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT"].map(str::to_owned);
    Reply::Whole(200, headers.to_vec(), content.into())
}

/// The manifest of an artifact with one file.
fn artifact(title: &str, blob: &Blob) -> String {
    let config = Blob::new("application/vnd.oci.empty.v1+json", b"{}");
    manifest(&config, &[blob.clone().titled(title)]).to_string()
}

/// A boot with its sources, and whether it fails.
pub(crate) struct Case {
    name: String,
    sources: Vec<Value>,
    fails: bool,
    /// Creates the files again that a boot removes.
    prepare: Box<dyn Fn()>,
}

pub(crate) fn good(name: &str, sources: Vec<Value>) -> Case {
    Case { name: name.to_owned(), sources, fails: false, prepare: Box::new(|| {}) }
}

pub(crate) fn bad(name: &str, sources: Vec<Value>) -> Case {
    Case { fails: true, ..good(name, sources) }
}

fn cases(container: &Container, servers: &Servers) -> Vec<Case> {
    let mut cases = from_the_profile();
    cases.extend(from_objects(container, "ConfigMap"));
    cases.extend(from_objects(container, "Secret"));
    cases.extend(from_http(container, servers));
    cases.extend(from_optimus(container, servers));
    cases.extend(from_a_store(container, servers));
    cases.extend(oci::marked::cases(container, &servers.tls));
    cases.extend(vault::marked::cases(container, &servers.tls));
    cases.extend(from_the_context());
    cases.extend(from_volumes(container));
    cases.extend(from_an_image(container));
    cases
}

fn from_the_profile() -> Vec<Case> {
    let nul = format!("{MARK}\0{MARK}");
    let long = MARK.repeat(131_072 / MARK.len() + 1);
    let case = |env: Value, files: Value| vec![inline("settings", &env, &files)];
    vec![
        good("inline", case(json!({"PASSWORD": MARK}), json!({"conf/app.ini": MARK}))),
        bad("a name that is none", case(json!({"A=B": MARK}), json!({}))),
        bad("a NUL", case(json!({"A": nul}), json!({}))),
        bad("a long value", case(json!({"A": long}), json!({}))),
        bad("an absolute path", case(json!({"A": MARK}), json!({"/a": MARK}))),
        bad("a file and a folder", case(json!({}), json!({"a": MARK, "a/b": MARK}))),
    ]
}

fn from_objects(container: &Container, kind: &str) -> Vec<Case> {
    let nul = format!("{MARK}\0{MARK}");
    let long = MARK.repeat(131_072 / MARK.len() + 1);
    let object = container.mount(
        &format!("{kind}-login"),
        [
            ("PASSWORD", MARK.as_bytes()),
            ("bytes", b"zq7Xv0hunter2\xff\n"),
            ("NUL", nul.as_bytes()),
            ("LONG", long.as_bytes()),
        ],
    );
    let broken = container.mount(&format!("{kind}-broken"), [("A", MARK.as_bytes())]);
    fs::create_dir(broken.join("..data/folder")).unwrap();
    let item = |key: &str, name: &str| json!({"key": key, "as": name});
    let env = |items: &[Value]| mounted("login", kind, &object, &json!({"into": "Env", "items": items}));
    let files = |items: &[Value]| mounted("login", kind, &object, &json!({"items": items}));
    let earlier = || inline("earlier", &json!({"PASSWORD": MARK}), &json!({"PASSWORD": MARK}));
    vec![
        good("as env", vec![earlier(), env(&[item("PASSWORD", "PASSWORD"), item("bytes", "BYTES")])]),
        good("as files", vec![earlier(), files(&[])]),
        bad("a key that is no name", vec![env(&[])]),
        bad("a reserved name", vec![env(&[item("PASSWORD", "PATH")])]),
        bad("the same twice", vec![env(&[item("PASSWORD", "A"), item("bytes", "A")])]),
        bad("a NUL", vec![env(&[item("NUL", "NUL")])]),
        bad("a long value", vec![env(&[item("LONG", "LONG")])]),
        bad("a missing key", vec![env(&[item("PASSWORD", "A"), item("GONE", "B")])]),
        bad("a path that leaves", vec![files(&[item("PASSWORD", "../a")])]),
        bad("a file and a folder", vec![files(&[item("PASSWORD", "a"), item("bytes", "a/b")])]),
        bad("a long name", vec![files(&[item("PASSWORD", &"x".repeat(300))])]),
        bad(
            "across sources",
            vec![files(&[item("PASSWORD", "a")]), inline("i", &json!({}), &json!({"a/b": MARK}))],
        ),
        bad("no file", vec![mounted("login", kind, &broken, &json!({}))]),
    ]
}

fn from_the_context() -> Vec<Case> {
    let case = |context: Value| vec![json!({"name": "run", "from": {"context": context}})];
    vec![
        good("the context", case(json!({"env": {"TRACEPARENT": MARK}, "attributes": {"team": MARK}}))),
        bad("a NUL", case(json!({"env": {"OTEL_SERVICE_NAME": format!("{MARK}\0")}}))),
        bad("many attributes", case(json!({"attributes": {"team": MARK.repeat(131_072 / MARK.len() + 1)}}))),
    ]
}

fn from_volumes(container: &Container) -> Vec<Case> {
    let case = |(name, fails, source)| Case { fails, ..good(name, vec![source]) };
    volume::marked(container, MARK).into_iter().map(case).collect()
}

fn from_an_image(container: &Container) -> Vec<Case> {
    let left = |name: &str, path: &str, content: &str, fails: bool| {
        let (out, path, content) = (container.beside(name), path.to_owned(), content.to_owned());
        let from = json!({"initImage": {"image": "r/boot:1", "path": out}});
        let prepare = move || {
            fs::create_dir_all(out.join(&path).parent().unwrap()).unwrap();
            fs::write(out.join(&path), &content).unwrap();
            fs::write(out.join(".done"), "").unwrap();
        };
        let sources = vec![json!({"name": "init-image", "from": from})];
        Case { fails, prepare: Box::new(prepare), ..good(name, sources) }
    };
    vec![
        left("a-variable", "env/PASSWORD", MARK, false),
        left("records", "environ", &format!("PASSWORD={MARK}\0"), false),
        left("a-file", "files/a", MARK, false),
        left("a-nul", "env/PASSWORD", &format!("{MARK}\0"), true),
        left("no-record", "environ", MARK, true),
        left("a-stray", "stray", MARK, true),
        left("no-name", "env/a=b", MARK, true),
        left("a-reserved-name", "env/PATH", MARK, true),
        left("a-long-name", &format!("files/{}/a", "x".repeat(250)), MARK, false),
    ]
}

/// A source with requests to a server with marked credentials.
fn remote(container: &Container, kind: &str, request: Value, client: &Value) -> Vec<Value> {
    let mut request = request;
    request["client"] = json!({
        "ca": {"configMap": "company-ca"}, "headersFromSecret": "api", "attempts": 1, "redirects": 1,
        "token": {"audience": "assets"},
    });
    for (field, value) in client.as_object().unwrap() {
        request["client"][field] = value.clone();
    }
    let mount = container.beside("remote");
    vec![json!({"name": "assets", "from": {kind: {"request": request, "path": mount}}})]
}

fn from_http(container: &Container, servers: &Servers) -> Vec<Case> {
    let http = |path: &str, more: Value, client: Value| {
        let mut request = json!({"url": servers.tls.url(), "path": path});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        remote(container, "http", request, &client)
    };
    let file = || json!({"file": "a"});
    let env = |pointer: &str| json!({"json": [{"pointer": pointer, "into": "Env", "secret": true}]});
    let mut two_of_a_name = http("/file", file(), json!({}));
    two_of_a_name[0]["from"]["http"]["path"] = json!(container.beside("two"));
    let post = json!({"file": "a", "method": "POST", "body": MARK, "query": {"token": MARK}});
    vec![
        good("a file", http("/file", file(), json!({}))),
        good("variables", http("/json", env("/env"), json!({}))),
        good("a marked body and query", http("/file", post.clone(), json!({}))),
        bad("a refusal that echoes the request", http("/refused", post, json!({}))),
        bad("nothing at the pointer", http("/json", env("/gone"), json!({}))),
        bad("no object at the pointer", http("/json", env("/text"), json!({}))),
        bad("a value that is a list", http("/list", env(""), json!({}))),
        bad("no JSON", http("/no-json", env(""), json!({}))),
        bad("no archive", http("/file", json!({"archive": {}}), json!({}))),
        bad("another checksum", http("/file", json!({"file": "a", "sha256": "0".repeat(64)}), json!({}))),
        bad("a redirect elsewhere", http("/redirect", file(), json!({}))),
        bad("half an answer", http("/cut", file(), json!({}))),
        bad("two headers of a name", two_of_a_name),
        bad("a path that leaves", http("/file", json!({"file": "../a"}), json!({}))),
    ]
}

fn from_optimus(container: &Container, servers: &Servers) -> Vec<Case> {
    let optimus = |job: &str| {
        let request = json!({
            "host": servers.tls.url(), "project": "p", "job": job, "scheduledAt": "2026-01-01T00:00:00Z",
            "instanceName": "bq2bq",
        });
        remote(container, "optimus", request, &json!({}))
    };
    vec![
        good("a job", optimus("good")),
        bad("a value that was not found", optimus("no-value")),
        bad("a NUL", optimus("nul")),
        bad("env and secret of a name", optimus("twice")),
        bad("an error that echoes the request", optimus("unknown")),
    ]
}

fn from_a_store(container: &Container, servers: &Servers) -> Vec<Case> {
    let store = |more: Value| {
        let mut request = json!({
            "s3": {"bucket": "assets", "endpoint": servers.tls.url()},
            "credentials": {"secret": "login"},
            "client": {"ca": {"configMap": "company-ca"}, "attempts": 1},
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mount = container.beside("remote");
        vec![json!({"name": "assets", "from": {"objectStore": {"request": request, "path": mount}}})]
    };
    let env = |pointer: &str| json!([{"pointer": pointer, "into": "Env", "secret": true}]);
    let unusable = |store_settings: Value| {
        let mut settings = json!({"s3": null, "object": "a", "file": "a"});
        settings.as_object_mut().unwrap().extend(store_settings.as_object().unwrap().clone());
        settings
    };
    vec![
        good("an object", store(json!({"object": "file", "file": "a"}))),
        good("variables of an object", store(json!({"object": "json", "json": env("/env")}))),
        bad("a refusal that echoes the request", store(json!({"object": "refused", "file": "a"}))),
        bad("half an object", store(json!({"object": "cut", "file": "a"}))),
        bad("no object at the pointer", store(json!({"object": "json", "json": env("/text")}))),
        bad("another checksum", store(json!({"object": "file", "file": "a", "sha256": "0".repeat(64)}))),
        bad("a list that is refused", store(json!({"prefix": ""}))),
        bad("a key that is none of Google's", store(unusable(json!({"gcs": {"bucket": "assets"}})))),
        bad(
            "a key that is none of Azure's",
            store(unusable(json!({"azure": {"account": "account", "container": "assets"}}))),
        ),
    ]
}

/// The mounted objects of a remote source: its CA, and marked credentials.
fn mount_credentials(container: &Container) {
    container.mount("remote/ca", [("ca.crt", server::ca().as_bytes())]);
    let (key, basic) = (format!("{MARK}-key\n"), format!("Basic {MARK}-basic"));
    container.mount("remote/headers", [("X-Api-Key", key.as_bytes()), ("X-Login", basic.as_bytes())]);
    container.mount("remote/token", [("token", format!("{MARK}-token").as_bytes())]);
    container.mount(
        "remote/credentials",
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "key.json", "AZURE_STORAGE_KEY"]
            .map(|key| (key, MARK.as_bytes())),
    );
    container.mount("two/ca", [("ca.crt", server::ca().as_bytes())]);
    container.mount("two/headers", [("Authorization", basic.as_bytes())]);
    container.mount("two/token", [("token", format!("{MARK}-token").as_bytes())]);
}

/// All output of a boot that is visible outside of the task: its log in both formats, its arguments, its
/// termination message, `task.json`, and the error as `Display` and `Debug`.
fn output_of(container: &Container, case: &Case, format: &str) -> (bool, String) {
    let mut spec = spec(&case.sources);
    spec["logFormat"] = json!(format);
    (case.prepare)();
    let outcome = container.boot_spec(&spec);
    let error = outcome.result.as_ref().err().map(|error| format!("{error} {error:?} {error:#?}"));
    let mut output_texts = vec![outcome.log, outcome.message, error.clone().unwrap_or_default()];

    (case.prepare)();
    let mut command = process::boot_spec(container, &spec);
    output_texts.push(format!("{:?}", command.get_args()));
    let output = command.output().unwrap();
    assert_eq!(output.status.success(), error.is_none(), "{output:?}");
    output_texts.extend([output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()));
    output_texts.push(fs::read_to_string(&container.args.termination_log).unwrap());
    output_texts.push(fs::read_to_string(container.at("task.json")).unwrap_or_default());
    (error.is_some(), output_texts.join("\n"))
}

#[test]
fn no_boot_of_any_kind_shows_a_value() {
    let servers = Servers { tls: Server::tls(answer) };
    let container = Container::new();
    mount_credentials(&container);
    let (mut well, mut failed) = (BTreeSet::new(), BTreeSet::new());
    for case in cases(&container, &servers) {
        let (name, fails) = (&case.name, case.fails);
        let kinds = case.sources.iter().map(Kind::new);
        if fails {
            failed.extend(kinds);
        } else {
            well.extend(kinds);
        }
        for format in ["Text", "Json"] {
            let (has_failed, output) = output_of(&container, &case, format);
            assert_eq!(has_failed, fails, "{name}: {output}");
            assert!(!output.contains(MARK), "{name}: {output}");
        }
    }
    assert_eq!(well, Kind::ALL.into(), "a boot from each kind that goes well");
    assert_eq!(failed, Kind::ALL.into(), "a boot from each kind that fails");
}

/// Checks that the cases above test something: the values are in the files of the task.
#[test]
fn the_values_are_where_the_task_reads_them() {
    let servers = Servers { tls: Server::tls(answer) };
    let container = Container::new();
    mount_credentials(&container);
    for Case { name, sources, prepare, .. } in
        cases(&container, &servers).into_iter().filter(|case| !case.fails)
    {
        prepare();
        container.boot(&sources).log();
        let holds = |path: &Path, content: &[u8]| {
            let private = path.starts_with("assets") || path == Path::new("env/environ");
            let found = String::from_utf8_lossy(content).contains(MARK);
            assert!(private || !found, "{name}: {}", path.display());
            found
        };
        let tree = container.tree();
        let files = tree.iter().filter_map(|(path, entry)| Some((path, entry.content.as_ref()?)));
        assert!(files.filter(|(path, content)| holds(path, content)).count() > 0, "{name}");
    }
}

/// A spec that cannot be parsed.
#[test]
fn an_invalid_spec_shows_no_value() {
    for source in [
        inline("settings", &json!({"A": MARK}), &json!({"a": [MARK]})),
        json!({"name": "settings", "from": {"inline": {"env": MARK}}}),
        json!({"name": "settings", "from": {"mounted": {"kind": [MARK]}}}),
    ] {
        let (failed, output) = output_of(&Container::new(), &bad("no spec", vec![source]), "Json");
        assert!(failed && !output.contains(MARK), "{output}");
    }
}

/// The volume cannot be written, while values are being written.
#[test]
fn a_boot_that_cannot_write_shows_no_value() {
    let sources = [inline("settings", &json!({"A": MARK}), &json!({"a": MARK}))];
    let breaks: [fn(&Container); 3] = [
        |container| fs::remove_file(&container.args.launcher).unwrap(),
        |container| fs::write(container.at("assets"), "a file").unwrap(),
        |container| fs::remove_dir(&container.args.root).unwrap(),
    ];
    for break_it in breaks {
        let container = Container::new();
        break_it(&container);
        let (failed, output) = output_of(&container, &bad("a volume", sources.to_vec()), "Text");
        assert!(failed && !output.contains(MARK), "{output}");
    }
}
