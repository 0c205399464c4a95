//! The imports of the modules that run in pods: no server code may get into boot, the containers that wait or
//! the sidecar.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules that run in pods, and the modules of the crate that each may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("boot", &["boot", "http", "registry", "store_client"]),
    ("wait", &["process", "store_client", "wait"]),
    ("sidecar", &["hook_request", "http", "process", "sidecar", "store_client"]),
    ("hook_request", &["http"]),
    ("store_client", &["http", "store_client", "text"]),
    ("process", &["process"]),
    ("registry", &["http", "registry"]),
    ("http", &["http"]),
];

#[test]
fn what_runs_in_pods_imports_no_server_code() {
    let mut forbidden = Vec::new();
    for (module, allowed) in ALLOWED {
        let mut files = Vec::new();
        let path = Path::new(env!("BOOTLACE_ROOT")).join("src").join(module);
        if path.is_dir() {
            find(&path, &mut files);
        } else {
            files.push(path.with_extension("rs"));
        }
        assert!(!files.is_empty(), "src/{module} does not exist");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let others = imports(line).filter(|import| !allowed.contains(import));
                forbidden.extend(others.map(|import| format!("{}: crate::{import}", file.display())));
            }
        }
    }
    assert!(forbidden.is_empty(), "move what is shared to a module that both may import: {forbidden:#?}");
}

/// The first segment of each path in a line that begins with `crate::`; a list in braces is returned whole.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter_map(|(start, prefix)| {
        // Not the end of another name, such as `some_crate::`.
        let before = line.get(..start)?.chars().next_back();
        let path = line.get(start + prefix.len()..)?;
        let end = path.find([':', ';', ',', ')', '>', '(', ' ']).unwrap_or(path.len());
        (!before.is_some_and(|before| before.is_alphanumeric() || before == '_'))
            .then(|| path.get(..end))
            .flatten()
    })
}

/// Adds the Rust files below a folder.
pub(crate) fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn imports_are_found() {
    let all = |line| imports(line).collect::<Vec<_>>();
    assert_eq!(all("use crate::store::client::Client;"), ["store"]);
    assert_eq!(all("    crate::server::memory::check(crate::http::x());"), ["server", "http"]);
    assert_eq!(all("use crate::{boot, webhook};"), ["{boot"]);
    assert_eq!(all("use other_crate::store;"), [""; 0]);
}
