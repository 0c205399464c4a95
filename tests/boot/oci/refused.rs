//! What is refused, and in which words.

use bootlace_test_registry::manifest;
use serde_json::{Value, json};

use super::{CONFIG, Client, LAYER, file, push_image, registry, wait};
use crate::http::archives::{DEVICE, HARD_LINK, PIPE, Packed, REGULAR, SYMLINK, gzip, tar};

#[test]
fn who_may_not_read_is_told_what_to_change() {
    let registry = registry();
    wait(registry.artifact("team/assets", "v1", &[("a", b"a")]));
    let place = "https://HOST/v2/team/assets/manifests/v1: it answered 401 Unauthorized and says \"UNAUTHORIZED: \
                 authentication required\": name a Secret with credentials in oci.pullSecret, or renew what it holds";
    let entry =
        |host: &str| json!({"auths": {host: {"username": "etl", "password": "zq7Xv0hunter2"}}}).to_string();
    let wrong = registry.pull_secret("zq7Xv0hunter2");
    for (secret, more, sentence) in [
        (Some(wrong.clone()), json!({}), place),
        (Some(wrong), json!({"pullSecret": null}), place),
        (
            Some(entry("other.example.com")),
            json!({}),
            "Secret registry, which oci.pullSecret names, has no entry for HOST/team/assets: add one, or remove \
             oci.pullSecret where none is needed",
        ),
        (
            Some(r#"{"auths": {"a": {"auth": "zq7Xv0hunter2"}}}"#.to_owned()),
            json!({}),
            "Secret registry, which oci.pullSecret names, has an entry whose auth is not user:password in base64",
        ),
        (
            Some("zq7Xv0hunter2".to_owned()),
            json!({}),
            "Secret registry, which oci.pullSecret names, holds no JSON like {\"auths\": {\"registry.example.com\": \
             {\"auth\": …}}}",
        ),
        (
            None,
            json!({}),
            "Secret registry of oci.pullSecret does not exist in the pod's namespace, or it has no key \
             \".dockerconfigjson\": create it with `kubectl create secret docker-registry`",
        ),
        (
            Some(entry(registry.host())),
            json!({"client": {"token": {"audience": "x"}}}),
            "a registry takes its credentials from oci.pullSecret, and no headers: remove client.headers, \
             client.headersFromSecret and client.token",
        ),
    ] {
        let client = Client::of(registry.host(), registry.ca(), secret.as_deref().unwrap_or_default());
        client.container.mount("remote/token", [("token", b"zq7Xv0hunter2".as_slice())]);
        if secret.is_none() {
            std::fs::remove_dir_all(client.container.beside("remote/pull-secret")).unwrap();
        }
        let (code, said) = client.failure(&client.source("team/assets:v1", &more));
        assert_eq!((code, &*said), (69, sentence));
    }
}

#[test]
fn what_is_not_there() {
    let registry = registry();
    wait(registry.artifact("team/assets", "v1", &[("a", b"a")]));
    let digest = format!("sha256:{}", "0".repeat(64));
    for (name, path) in [
        ("team/assets:v9".to_owned(), "team/assets/manifests/v9".to_owned()),
        ("team/other:v1".to_owned(), "team/other/manifests/v1".to_owned()),
        (format!("team/assets@{digest}"), format!("team/assets/manifests/{digest}")),
    ] {
        let client = Client::new(&registry);
        let (code, sentence) = client.failure(&client.source(&name, &json!({})));
        let start =
            format!("https://HOST/v2/{path}: it answered 404 Not Found and says \"MANIFEST_UNKNOWN: ");
        assert!(code == 69 && sentence.starts_with(&start), "{sentence}");
        assert!(sentence.ends_with("\": correct oci.reference, or push what it names"), "{sentence}");
    }
    let client = Client::new(&registry);
    let mut source = client.source("team/assets:v9", &json!({}));
    source["optional"] = json!(true);
    let log = client.boot(&source).log();
    assert!(log.contains("left out, as it is optional: https://"), "{log}");

    for name in ["Team/assets:v1", "team/assets@sha256:12", "../assets:v1"] {
        let (code, said) = client.failure(&client.source(name, &json!({})));
        let start = format!("oci.reference: \"HOST/{name}\" is not a valid image reference");
        assert!(code == 69 && said.starts_with(&start), "{said}");
    }
}

#[test]
fn what_was_changed_on_its_way() {
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
    let (code, sentence) = client.failure(&client.source("team/assets:v1", &json!({})));
    let start = format!("https://HOST/v2/team/assets/blobs/{}: the answer's SHA-256 is ", blob.digest());
    assert!(code == 65 && sentence.starts_with(&start), "{sentence}");
    let hex = blob.digest().trim_start_matches("sha256:");
    assert!(sentence.ends_with(&format!(", and its manifest says {hex}: correct one of them")), "{sentence}");

    let manifest = wait(registry.artifact("team/assets", "v2", &[("a", b"a")]));
    registry.damage(&manifest).unwrap();
    let name = format!("team/assets@{}", manifest.digest());
    let (code, sentence) = client.failure(&client.source(&name, &json!({})));
    // The registry itself may notice first.
    assert!([65, 75].contains(&code), "{sentence}");
}

#[test]
fn entries_that_lead_out_or_are_no_files() {
    let registry = registry();
    let long = "x".repeat(300);
    let cases: Vec<(&str, Vec<Packed<'_>>, &str)> = vec![
        (
            "dots",
            vec![file("app/../../etc/passwd", "x")],
            "the archive's entry \"app/../../etc/passwd\": the path contains \".\" or \"..\"",
        ),
        (
            "absolute",
            vec![file("/etc/passwd", "x")],
            "the archive's entry \"/etc/passwd\": the path is absolute",
        ),
        (
            "symlink",
            vec![(SYMLINK, "app/a", b"")],
            "the archive's entry \"app/a\" is a symbolic link, and boot takes files only",
        ),
        ("hard-link", vec![(HARD_LINK, "app/a", b"")], "the archive's entry \"app/a\" is a hard link"),
        ("device", vec![(DEVICE, "app/a", b"")], "the archive's entry \"app/a\" is a device"),
        ("pipe", vec![(PIPE, "app/a", b"")], "the archive's entry \"app/a\" is a named pipe"),
        ("long", vec![(REGULAR, &long, b"")], "300 bytes, the limit of Linux is 255"),
        ("twice", vec![file("app/a", "1"), file("app/a", "2")], "file \"a\": the source gives it twice"),
        (
            "both",
            vec![file("app/a/b", "1"), file("app/a", "2")],
            "file \"a\": the source also gives the file \"a/b\"",
        ),
    ];
    for (tag, entries, sentence) in cases {
        push_image(&registry, tag, &[&entries]);
        let client = Client::new(&registry);
        let source = client.source(&format!("team/image:{tag}"), &json!({"path": "app"}));
        let (code, said) = client.failure(&source);
        assert!(code == 65 && said.starts_with(sentence) || tag == "long", "{said}");
        assert!(said.contains(sentence), "{said}");
    }
    // What is not taken may be a link, but it may not lead out.
    push_image(
        &registry,
        "beside",
        &[&[(SYMLINK, "etc/a", b""), (DEVICE, "dev/null", b""), file("app/a", "1")]],
    );
    let client = Client::new(&registry);
    assert_eq!(client.files(&client.source("team/image:beside", &json!({"path": "app"}))), ["a=1"]);

    for (title, sentence) in [
        ("../a", "file \"../a\": the path contains \".\" or \"..\""),
        ("/etc/passwd", "file \"/etc/passwd\": the path is absolute"),
        ("", "file \"\": the path is empty"),
    ] {
        wait(registry.artifact("team/assets", "bad", &[(title, b"x")]));
        let client = Client::new(&registry);
        let (code, said) = client.failure(&client.source("team/assets:bad", &json!({})));
        assert!(code == 65 && said.starts_with(sentence), "{said}");
    }
    wait(async {
        let config = registry.blob("team/assets", CONFIG, "{}").await?;
        let packed = registry.blob("team/assets", LAYER, gzip(&tar(&[file("other/a", "a")]))).await?;
        let packed = packed.titled("conf").annotated("io.deis.oras.content.unpack", "true");
        registry.manifest("team/assets", "strays", &manifest(&config, &[packed])).await
    });
    let client = Client::new(&registry);
    let (code, said) = client.failure(&client.source("team/assets:strays", &json!({})));
    assert!(
        code == 65 && said.contains("\"other/a\" does not lie in \"conf\", as its blob is called"),
        "{said}"
    );
}

#[test]
fn what_is_larger_than_it_may_be() {
    let registry = registry();
    let zeros = vec![0; 64 << 20];
    push_image(&registry, "bomb", &[&[(REGULAR, "app/zeros", &zeros)]]);
    let client = Client::new(&registry);
    let (code, sentence) = client.failure(&client.source("team/image:bomb", &json!({"path": "app"})));
    let over =
        "file \"zeros\": with it the source gives more than 1048576 bytes: raise limits.size of the source";
    assert!(code == 65 && sentence.starts_with(over), "{sentence}");

    let names: Vec<_> = (0..101).map(|n| format!("app/{n}")).collect();
    let many: Vec<Packed<'_>> = names.iter().map(|name| (REGULAR, name.as_str(), b"".as_slice())).collect();
    push_image(&registry, "many", &[&many]);
    let (code, sentence) = client.failure(&client.source("team/image:many", &json!({"path": "app"})));
    let over = "with it the source gives more than 100 files: raise limits.files of the source";
    assert!(code == 65 && sentence.contains(over), "{sentence}");

    // Told before a byte of it is downloaded.
    let half = vec![b'x'; (1 << 19) + 1];
    wait(registry.artifact("team/assets", "large", &[("a", &half), ("b", &half)]));
    let (code, sentence) = client.failure(&client.source("team/assets:large", &json!({})));
    assert_eq!(
        (code, &*sentence),
        (
            65,
            "it takes 1048578 bytes, and the source may take 1048576: raise limits.size of the source if it should be"
        )
    );
}

#[test]
fn what_holds_nothing_for_a_task() {
    let registry = registry();
    let refused = |name: &str, more: Value| {
        let client = Client::new(&registry);
        client.failure(&client.source(name, &more))
    };
    push_image(&registry, "v1", &[&[file("opt/app/a", "1"), (SYMLINK, "app", b"")]]);
    assert_eq!(
        refused("team/image:v1", json!({"path": "gone"})),
        (65, "it holds no file at or below \"gone\": correct oci.path".to_owned())
    );
    assert_eq!(
        refused("team/image:v1", json!({"path": "app/sql"})),
        (
            65,
            "it holds no file at or below \"app/sql\", and \"app\" is a symbolic link there: write oci.path without links"
                .to_owned()
        )
    );
    push_image(&registry, "empty", &[]);
    assert_eq!(
        refused("team/image:empty", json!({})),
        (65, "it holds no files: push it with some".to_owned())
    );
    wait(async {
        let config = registry.blob("team/wasm", "application/vnd.wasm.config.v0+json", "{}").await?;
        let layer = registry.blob("team/wasm", "application/wasm", "x").await?;
        registry.manifest("team/wasm", "v1", &manifest(&config, &[layer])).await
    });
    let (code, sentence) = refused("team/wasm:v1", json!({}));
    assert!(
        code == 65 && sentence.starts_with("it is neither an image nor an artifact with named files"),
        "{sentence}"
    );
    assert!(sentence.contains("of type \"application/wasm\" has no annotation"), "{sentence}");
}
