//! Boots from a registry with marked values, for the test that no boot shows a value.

use serde_json::json;

use crate::http::server::{Server, ca};
use crate::secrets::{Case, MARK, bad, good};
use crate::support::Container;

/// The cases. The server sends the responses of a registry, too.
pub(crate) fn cases(container: &Container, server: &Server) -> Vec<Case> {
    let host = server.url().trim_start_matches("https://").to_owned();
    let login =
        json!({"auths": {&host: {"username": "etl", "password": format!("{MARK}-password")}}}).to_string();
    container.mount("registry/ca", [("ca.crt", ca().as_bytes())]);
    container.mount("registry/pull-secret", [(".dockerconfigjson", login.as_bytes())]);
    container.mount("no-registry/ca", [("ca.crt", ca().as_bytes())]);
    container.mount("no-registry/pull-secret", [(".dockerconfigjson", MARK.as_bytes())]);
    let oci = |name: &str, mounts: &str| {
        let client = json!({"ca": {"configMap": "company-ca"}, "attempts": 1});
        let request =
            json!({"reference": format!("{host}/a/{name}:v1"), "pullSecret": "registry", "client": client});
        let mounts = container.beside(mounts);
        vec![json!({"name": "assets", "from": {"oci": {"request": request, "path": mounts}}})]
    };
    vec![
        good("an artifact", oci("good", "registry")),
        bad("an artifact's file that leaves", oci("stray", "registry")),
        bad("a blob that was changed", oci("changed", "registry")),
        bad("a registry that echoes the request", oci("refused", "registry")),
        bad("a pull secret that is none", oci("good", "no-registry")),
    ]
}
