//! What is refused, and with which code.

use bootlace_test_registry::manifest;
use serde_json::{Value, json};

use super::{CONFIG, Client, LAYER, file, push_image, registry, wait};
use crate::http::archives::{DEVICE, HARD_LINK, PIPE, Packed, REGULAR, SYMLINK, gzip, tar};
use crate::support::code;

#[test]
fn missing_or_wrong_credentials_fail_with_a_remedy() {
    let registry = registry();
    wait(registry.artifact("team/assets", "v1", &[("a", b"a")]));
    let place = "https://HOST/v2/team/assets/manifests/v1: ";
    let entry =
        |host: &str| json!({"auths": {host: {"username": "etl", "password": "zq7Xv0hunter2"}}}).to_string();
    let wrong = registry.pull_secret("zq7Xv0hunter2");
    for (secret, more, expected, start) in [
        (Some(wrong.clone()), json!({}), "BL2204", place),
        (Some(wrong), json!({"pullSecret": null}), "BL2204", place),
        (
            Some(entry("other.example.com")),
            json!({}),
            "BL2104",
            "Secret registry of oci.pullSecret has no entry for HOST/team/assets: ",
        ),
        (
            Some(r#"{"auths": {"a": {"auth": "zq7Xv0hunter2"}}}"#.to_owned()),
            json!({}),
            "BL2104",
            "Secret registry of oci.pullSecret is invalid: ",
        ),
        (
            Some("zq7Xv0hunter2".to_owned()),
            json!({}),
            "BL2104",
            "Secret registry of oci.pullSecret is invalid: ",
        ),
        (None, json!({}), "BL2101", "Secret registry of oci.pullSecret does not exist"),
        (
            Some(entry(registry.host())),
            json!({"client": {"token": {"audience": "x"}}}),
            "BL2104",
            "client.headers, client.headersFromSecret and client.token ",
        ),
    ] {
        let client = Client::of(registry.host(), registry.ca(), secret.as_deref().unwrap_or_default());
        client.container.mount("remote/token", [("token", b"zq7Xv0hunter2".as_slice())]);
        if secret.is_none() {
            std::fs::remove_dir_all(client.container.beside("remote/pull-secret")).unwrap();
        }
        let (exit_code, message) = client.failure(&client.source("team/assets:v1", &more));
        assert_eq!((exit_code, code(&message)), (69, expected), "{message}");
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn references_that_do_not_exist() {
    let registry = registry();
    wait(registry.artifact("team/assets", "v1", &[("a", b"a")]));
    let digest = format!("sha256:{}", "0".repeat(64));
    for (name, path) in [
        ("team/assets:v9".to_owned(), "team/assets/manifests/v9".to_owned()),
        ("team/other:v1".to_owned(), "team/other/manifests/v1".to_owned()),
        (format!("team/assets@{digest}"), format!("team/assets/manifests/{digest}")),
    ] {
        let client = Client::new(&registry);
        let (exit_code, message) = client.failure(&client.source(&name, &json!({})));
        assert_eq!((exit_code, code(&message)), (69, "BL2101"), "{message}");
        assert!(message.starts_with(&format!("https://HOST/v2/{path}: ")), "{message}");
        assert!(message.contains("(\"MANIFEST_UNKNOWN: "), "{message}");
    }
    let client = Client::new(&registry);
    let mut source = client.source("team/assets:v9", &json!({}));
    source["optional"] = json!(true);
    let log = client.boot(&source).log();
    assert!(log.contains("optional: https://"), "{log}");

    for name in ["Team/assets:v1", "team/assets@sha256:12", "../assets:v1"] {
        let (exit_code, message) = client.failure(&client.source(name, &json!({})));
        assert_eq!((exit_code, code(&message)), (69, "BL2104"), "{message}");
        assert!(message.starts_with(&format!("oci.reference: \"HOST/{name}\" ")), "{message}");
    }
}

#[test]
fn damaged_blobs_are_refused() {
    let registry = registry();
    let client = Client::new(&registry);
    let blob = wait(async {
        let config = registry.blob("team/assets", CONFIG, "{}").await?;
        let blob = registry.blob("team/assets", LAYER, gzip(&tar(&[file("a", "a")]))).await?;
        let titled = blob.clone().titled("a.tar.gz");
        registry.manifest("team/assets", "v1", &manifest(&config, &[titled])).await?;
        Ok(blob)
    });
    registry.damage(&blob).unwrap();
    let (exit_code, message) = client.failure(&client.source("team/assets:v1", &json!({})));
    assert_eq!((exit_code, code(&message)), (65, "BL2301"), "{message}");
    let start = format!("https://HOST/v2/team/assets/blobs/{}: ", blob.digest());
    let hex = blob.digest().trim_start_matches("sha256:");
    assert!(message.starts_with(&start) && message.contains(hex), "{message}");

    let manifest = wait(registry.artifact("team/assets", "v2", &[("a", b"a")]));
    registry.damage(&manifest).unwrap();
    let name = format!("team/assets@{}", manifest.digest());
    let (exit_code, message) = client.failure(&client.source(&name, &json!({})));
    // The registry itself may notice first.
    assert!([65, 75].contains(&exit_code), "{message}");
}

#[test]
fn invalid_entries_of_layers_are_refused() {
    let registry = registry();
    let long = "x".repeat(300);
    let cases: Vec<(&str, Vec<Packed<'_>>, &str, &str)> = vec![
        (
            "dots",
            vec![file("app/../../etc/passwd", "x")],
            "BL2306",
            "archive entry \"app/../../etc/passwd\": ",
        ),
        ("absolute", vec![file("/etc/passwd", "x")], "BL2306", "archive entry \"/etc/passwd\": "),
        ("symlink", vec![(SYMLINK, "app/a", b"")], "BL2303", "archive entry \"app/a\" "),
        ("hard-link", vec![(HARD_LINK, "app/a", b"")], "BL2303", "archive entry \"app/a\" "),
        ("device", vec![(DEVICE, "app/a", b"")], "BL2303", "archive entry \"app/a\" "),
        ("pipe", vec![(PIPE, "app/a", b"")], "BL2303", "archive entry \"app/a\" "),
        ("long", vec![(REGULAR, &long, b"")], "BL2306", "archive entry \"xxx"),
        ("twice", vec![file("app/a", "1"), file("app/a", "2")], "BL2307", "file \"a\": "),
        ("both", vec![file("app/a/b", "1"), file("app/a", "2")], "BL2307", "file \"a\": "),
    ];
    for (tag, entries, expected, start) in cases {
        push_image(&registry, tag, &[&entries]);
        let client = Client::new(&registry);
        let source = client.source(&format!("team/image:{tag}"), &json!({"path": "app"}));
        let (exit_code, message) = client.failure(&source);
        assert_eq!((exit_code, code(&message)), (65, expected), "{message}");
        assert!(message.starts_with(start), "{message}");
    }
    // An entry that is not selected may be a link, but must not have a path outside of the folder.
    push_image(
        &registry,
        "beside",
        &[&[(SYMLINK, "etc/a", b""), (DEVICE, "dev/null", b""), file("app/a", "1")]],
    );
    let client = Client::new(&registry);
    assert_eq!(client.files(&client.source("team/image:beside", &json!({"path": "app"}))), ["a=1"]);

    for title in ["../a", "/etc/passwd", ""] {
        wait(registry.artifact("team/assets", "bad", &[(title, b"x")]));
        let client = Client::new(&registry);
        let (exit_code, message) = client.failure(&client.source("team/assets:bad", &json!({})));
        assert_eq!((exit_code, code(&message)), (65, "BL2306"), "{message}");
        assert!(message.starts_with(&format!("file {title:?}: ")), "{message}");
    }
    wait(async {
        let config = registry.blob("team/assets", CONFIG, "{}").await?;
        let packed = registry.blob("team/assets", LAYER, gzip(&tar(&[file("other/a", "a")]))).await?;
        let packed = packed.titled("conf").annotated("io.deis.oras.content.unpack", "true");
        registry.manifest("team/assets", "strays", &manifest(&config, &[packed])).await
    });
    let client = Client::new(&registry);
    let (exit_code, message) = client.failure(&client.source("team/assets:strays", &json!({})));
    assert_eq!((exit_code, code(&message)), (65, "BL2303"), "{message}");
    assert!(message.contains("archive entry \"other/a\" ") && message.contains("\"conf\""), "{message}");
}

#[test]
fn content_beyond_the_limits_is_refused() {
    let registry = registry();
    let zeros = vec![0; 64 << 20];
    push_image(&registry, "bomb", &[&[(REGULAR, "app/zeros", &zeros)]]);
    let client = Client::new(&registry);
    let (exit_code, message) = client.failure(&client.source("team/image:bomb", &json!({"path": "app"})));
    assert_eq!((exit_code, code(&message)), (65, "BL2304"), "{message}");
    assert!(message.starts_with("file \"zeros\": ") && message.contains("1048576 bytes"), "{message}");

    let names: Vec<_> = (0..101).map(|n| format!("app/{n}")).collect();
    let many: Vec<Packed<'_>> = names.iter().map(|name| (REGULAR, name.as_str(), b"".as_slice())).collect();
    push_image(&registry, "many", &[&many]);
    let (exit_code, message) = client.failure(&client.source("team/image:many", &json!({"path": "app"})));
    assert_eq!((exit_code, code(&message)), (65, "BL2304"), "{message}");
    assert!(message.contains("100 files"), "{message}");

    // Refused by the manifest, before a byte of it is downloaded.
    let half = vec![b'x'; (1 << 19) + 1];
    wait(registry.artifact("team/assets", "large", &[("a", &half), ("b", &half)]));
    let (exit_code, message) = client.failure(&client.source("team/assets:large", &json!({})));
    assert_eq!((exit_code, code(&message)), (65, "BL2304"), "{message}");
    assert!(message.contains("1048578 bytes") && message.contains("1048576 bytes"), "{message}");
}

#[test]
fn images_without_files_are_refused() {
    let registry = registry();
    let refused = |name: &str, more: Value| {
        let client = Client::new(&registry);
        client.failure(&client.source(name, &more))
    };
    push_image(&registry, "v1", &[&[file("opt/app/a", "1"), (SYMLINK, "app", b"")]]);
    let expect = |(exit_code, message): (u8, String), part: &str| {
        assert_eq!((exit_code, code(&message)), (65, "BL2302"), "{message}");
        assert!(message.contains(part), "{message}");
    };
    expect(refused("team/image:v1", json!({"path": "gone"})), "\"gone\"");
    expect(refused("team/image:v1", json!({"path": "app/sql"})), "\"app\" ");
    push_image(&registry, "empty", &[]);
    expect(refused("team/image:empty", json!({})), "no files");
    wait(async {
        let config = registry.blob("team/wasm", "application/vnd.wasm.config.v0+json", "{}").await?;
        let layer = registry.blob("team/wasm", "application/wasm", "x").await?;
        registry.manifest("team/wasm", "v1", &manifest(&config, &[layer])).await
    });
    expect(refused("team/wasm:v1", json!({})), "of type \"application/wasm\"");
}
