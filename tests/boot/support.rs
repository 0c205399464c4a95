//! The folders of a boot container, and their content after a boot.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Once;

use bootlace::boot::{self, BootCommandArgs, BootError};
use bootlace_core::code::Coded as _;
use bootlace_launch::environ;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The content of the launcher in these tests.
pub(crate) const LAUNCHER: &[u8] = b"\x7fELF launcher";
/// The content of the launcher with TLS.
pub(crate) const LAUNCHER_HTTP: &[u8] = b"\x7fELF launcher with TLS";

/// A boot container: the volume, the mounts, the launcher, the termination message.
pub(crate) struct Container {
    folder: TempDir,
    pub(crate) args: BootCommandArgs,
}

/// The result of a boot.
pub(crate) struct Outcome {
    pub(crate) result: Result<(), BootError>,
    pub(crate) log: String,
    pub(crate) message: String,
}

impl Container {
    pub(crate) fn new() -> Self {
        // The strictest umask with which the tests can create their own folders: the files of boot must not
        // depend on it.
        static UMASK: Once = Once::new();
        UMASK.call_once(|| {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        });
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("bootlace")).unwrap();
        fs::write(at("launcher"), LAUNCHER).unwrap();
        fs::write(at("launcher-http"), LAUNCHER_HTTP).unwrap();
        fs::write(at("termination-log"), "").unwrap();
        let args = BootCommandArgs {
            root: at("bootlace"),
            launcher: at("launcher"),
            launcher_http: at("launcher-http"),
            store_token: at("store-token"),
            cgroup: at("cgroup"),
            termination_log: at("termination-log"),
        };
        Self { folder, args }
    }

    /// Creates a memory cgroup (version 2) for the container, with a limit and the memory in use.
    pub(crate) fn limit_memory(&self, limit: u64, used: u64) {
        fs::create_dir(&self.args.cgroup).unwrap();
        for (file, content) in [
            ("memory.max", limit.to_string()),
            ("memory.current", used.to_string()),
            ("memory.stat", "inactive_file 0\nactive_file 0".to_owned()),
        ] {
            fs::write(self.args.cgroup.join(file), content + "\n").unwrap();
        }
    }

    /// A path inside the boot volume.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.args.root.join(path)
    }

    /// A path outside of the boot volume.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Mounts an object as the kubelet does: a folder for the version, the link `..data` to it, and a link
    /// for each key.
    pub(crate) fn mount<'a>(
        &self,
        name: &str,
        keys: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> PathBuf {
        let mount = self.beside(name);
        let version = "..2026_11_05_10_00_00.123456789";
        fs::create_dir_all(mount.join(version)).unwrap();
        symlink(version, mount.join("..data")).unwrap();
        for (key, content) in keys {
            fs::write(mount.join(version).join(key), content).unwrap();
            symlink(format!("..data/{key}"), mount.join(key)).unwrap();
        }
        mount
    }

    /// Boots from `sources`, in the format of the webhook.
    pub(crate) fn boot(&self, sources: &[Value]) -> Outcome {
        self.boot_spec(&spec(sources))
    }

    /// Boots from a complete spec.
    pub(crate) fn boot_spec(&self, spec: &Value) -> Outcome {
        self.boot_env(&[("BOOTLACE_SPEC", &spec.to_string())])
    }

    /// Boots with these variables.
    pub(crate) fn boot_env(&self, env: &[(&str, &str)]) -> Outcome {
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        fs::write(&self.args.termination_log, "").unwrap();
        let mut log = Vec::new();
        let result = boot::run_to(&self.args, &env, &mut log);
        let message = fs::read_to_string(&self.args.termination_log).unwrap();
        Outcome { result, log: String::from_utf8(log).unwrap(), message }
    }

    /// The boot env by name.
    pub(crate) fn env(&self) -> BTreeMap<String, Vec<u8>> {
        let bytes = fs::read(self.at("env/environ")).unwrap();
        let records = environ::parse(&bytes).unwrap();
        let pair = |record: &environ::Record<'_>| {
            (record.name().to_str().unwrap().to_owned(), record.value().as_bytes().to_vec())
        };
        records.iter().map(pair).collect()
    }

    /// The assets by path.
    pub(crate) fn assets(&self) -> BTreeMap<String, Vec<u8>> {
        self.tree()
            .into_iter()
            .filter_map(|(path, entry)| {
                Some((path.strip_prefix("assets/").ok()?.to_str()?.to_owned(), entry.content?))
            })
            .collect()
    }

    /// Everything on the volume.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, Entry> {
        let mut tree = BTreeMap::new();
        walk(&self.args.root, Path::new(""), &mut tree);
        tree
    }
}

/// A file or a folder on the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    /// `None` for a folder.
    pub(crate) content: Option<Vec<u8>>,
}

fn walk(root: &Path, below: &Path, tree: &mut BTreeMap<PathBuf, Entry>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        let found = entry.metadata().unwrap();
        assert!(!found.is_symlink(), "boot makes no links: {}", path.display());
        let content = found.is_file().then(|| fs::read(entry.path()).unwrap());
        tree.insert(path.clone(), Entry { mode: found.permissions().mode() & 0o7777, content });
        if found.is_dir() {
            walk(root, &path, tree);
        }
    }
}

impl Outcome {
    /// The log of a successful boot.
    pub(crate) fn log(self) -> String {
        assert!(self.result.is_ok(), "{}", self.log);
        assert_eq!(self.message, "");
        self.log
    }

    /// Exit code and message of a boot that failed. The message, with its code, is the last line of the log
    /// and the termination message.
    pub(crate) fn failure(self) -> (u8, String) {
        let error = self.result.unwrap_err();
        let message = format!("bootlace: {error} [{}]", error.code());
        assert_eq!(self.log.lines().last(), Some(&*message), "{}", self.log);
        assert_eq!(self.message, message);
        (error.exit_code(), message)
    }
}

/// The code at the end of a message, such as `BL2101`.
pub(crate) fn code(message: &str) -> &str {
    message.strip_suffix(']').and_then(|message| message.rsplit_once(" [")).map_or("", |(_, code)| code)
}

/// The spec that the webhook writes for `sources`.
pub(crate) fn spec(sources: &[Value]) -> Value {
    json!({
        "task": {"scheduler": "airflow", "workflow": "etl", "run": "manual", "task": "load"},
        "profile": {"name": "default", "generation": 3},
        "timeoutSeconds": 60,
        "sources": sources,
        "keep": {"base": ["MODE", "with.dot"], "other": []},
    })
}

/// An inline source.
pub(crate) fn inline(name: &str, env: &Value, files: &Value) -> Value {
    json!({"name": name, "from": {"inline": {"env": env, "files": files}}})
}

/// A mounted source; `more` has additional fields.
pub(crate) fn mounted(name: &str, kind: &str, path: &Path, more: &Value) -> Value {
    let mut object = json!({"kind": kind, "name": format!("the-{name}"), "path": path, "into": "Files"});
    for (field, value) in more.as_object().unwrap() {
        object[field] = value.clone();
    }
    json!({"name": name, "from": {"mounted": object}})
}

/// A source that is a volume; `more` has additional fields.
pub(crate) fn volume(name: &str, kind: &str, path: &Path, more: &Value) -> Value {
    let mut volume = json!({"kind": kind, "name": format!("the-{name}"), "path": path, "into": "Files"});
    for (field, value) in more.as_object().unwrap() {
        volume[field] = value.clone();
    }
    json!({"name": name, "limits": {"bytes": 1 << 20, "files": 100}, "from": {"volume": volume}})
}
