//! The files of artifacts and images.

use bootlace_test_registry::{Access, Registry, manifest};
use serde_json::{Value, json};

use super::{CONFIG, Client, LAYER, LOOPBACK, file, folder, push_image, registry, wait};
use crate::http::archives::{SYMLINK, gzip, tar};
use crate::support::code;

const NONE: fn() -> Value = || json!({});

#[test]
fn an_artifact_by_tag_and_by_digest() {
    let registry = registry();
    let files: [(&str, &[u8]); 3] = [("a.sql", b"a"), ("sql/b.sql", b"b"), ("sql/deep/c.sql", b"")];
    let first = wait(registry.artifact("team/assets", "v1", &files));
    wait(registry.artifact("team/assets", "v2", &[("a.sql", b"changed")]));
    let digest = first.digest();
    for name in ["team/assets:v1", &format!("team/assets@{digest}"), &format!("team/assets:v2@{digest}")] {
        let client = Client::new(&registry);
        assert_eq!(
            client.files(&client.source(name, &NONE())),
            ["a.sql=a", "sql/b.sql=b", "sql/deep/c.sql="]
        );
    }
    let client = Client::new(&registry);
    let log = client.boot(&client.source("team/assets:v2", &NONE())).log();
    let title =
        format!("source \"assets\" (OCI {}/team/assets:v2): 0 variables, 1 file, 7 B in ", registry.host());
    assert!(log.contains(&title), "{log}");
    for (path, prefix, files) in [
        ("sql", "in/", vec!["in/b.sql=b", "in/deep/c.sql="]),
        ("sql/b.sql", "", vec!["b.sql=b"]),
        ("", "in/", vec!["in/a.sql=a", "in/sql/b.sql=b", "in/sql/deep/c.sql="]),
    ] {
        let client = Client::new(&registry);
        let more = json!({"path": path, "prefix": prefix});
        assert_eq!(client.files(&client.source("team/assets:v1", &more)), files);
    }
}

#[test]
fn folders_that_oras_packed_are_unpacked() {
    let registry = registry();
    let packed = gzip(&tar(&[folder("conf/"), file("conf/a.ini", "a"), file("conf/deep/b.ini", "b")]));
    let here = tar(&[folder("./"), file("./c.ini", "c"), (SYMLINK, "elsewhere", b"")]);
    wait(async {
        let config = registry.blob("team/packed", "application/vnd.oci.empty.v1+json", "{}").await?;
        let unpack = |blob: bootlace_test_registry::Blob, title| {
            blob.titled(title).annotated("io.deis.oras.content.unpack", "true")
        };
        let layers = [
            unpack(registry.blob("team/packed", LAYER, packed.clone()).await?, "conf"),
            registry.blob("team/packed", LAYER, packed).await?.titled("kept.tar.gz"),
            registry.blob("team/packed", "text/plain", "nameless").await?,
        ];
        registry.manifest("team/packed", "v1", &manifest(&config, &layers)).await?;
        let layers = [unpack(registry.blob("team/packed", LAYER, here).await?, ".")];
        registry.manifest("team/packed", "here", &manifest(&config, &layers)).await
    });
    let client = Client::new(&registry);
    let log = client.boot(&client.source("team/packed:v1", &NONE())).log();
    let assets = client.container.assets();
    assert_eq!(assets.keys().collect::<Vec<_>>(), ["conf/a.ini", "conf/deep/b.ini", "kept.tar.gz"]);
    assert!(log.contains(" 1 blobs ") && log.contains("org.opencontainers.image.title"), "{log}");
    let client = Client::new(&registry);
    let more = json!({"path": "c.ini", "prefix": "conf/"});
    assert_eq!(client.files(&client.source("team/packed:here", &more)), ["conf/c.ini=c"]);
}

#[test]
fn an_images_layers_are_applied_in_their_order() {
    let registry = registry();
    push_image(
        &registry,
        "v1",
        &[
            &[
                (SYMLINK, "bin", b""),
                folder("app/"),
                file("app/replaced", "1"),
                file("app/removed", "1"),
                file("app/kept", "1"),
                file("app/folder/removed", "1"),
                file("app/opaque/removed", "1"),
                file("app/becomes-file/x", "1"),
                file("app/becomes-folder", "1"),
                (SYMLINK, "app/link-removed", b""),
            ],
            &[
                file("./app/replaced", "2"),
                file("app/.wh.removed", ""),
                file("app/.wh.link-removed", ""),
                file("app/.wh.folder", ""),
                folder("app/opaque/"),
                file("app/opaque/.wh..wh..opq", ""),
                file("app/opaque/new", "2"),
                file("app/becomes-file", "2"),
                file("app/becomes-folder/x", "2"),
                file("app/.wh..wh.plnk", ""),
            ],
            &[file("app/folder/again", "3"), file("elsewhere", "3")],
        ],
    );
    let client = Client::new(&registry);
    assert_eq!(
        client.files(&client.source("team/image:v1", &json!({"path": "app"}))),
        ["becomes-file=2", "becomes-folder/x=2", "folder/again=3", "kept=1", "opaque/new=2", "replaced=2",]
    );
}

#[test]
fn a_layer_may_be_compressed_by_gzip_by_zstd_or_not_at_all() {
    let registry = registry();
    let tar = tar(&[file("app/a", "1")]);
    // Like seekable layers: a skippable frame first, then several frames.
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat();
    let frames: Vec<_> = tar.chunks(700).map(|part| zstd::encode_all(part, 3).unwrap()).collect();
    for (kind, content) in [
        ("tar", tar.clone()),
        ("tar+gzip", gzip(&tar)),
        ("tar+zstd", zstd::encode_all(&*tar, 19).unwrap()),
        ("tar+zstd", [skippable, frames.concat()].concat()),
    ] {
        wait(async {
            let config = registry.blob("team/image", CONFIG, "{}").await?;
            let kind = format!("application/vnd.oci.image.layer.v1.{kind}");
            let layer = registry.blob("team/image", &kind, content).await?;
            registry.manifest("team/image", "packed", &manifest(&config, &[layer])).await
        });
        let client = Client::new(&registry);
        assert_eq!(client.files(&client.source("team/image:packed", &json!({"path": "app"}))), ["a=1"]);
    }
}

#[test]
fn an_index_selects_the_image_of_the_node_or_of_the_profile() {
    let registry = registry();
    let (oci, docker) = (
        (
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.oci.image.manifest.v1+json",
            CONFIG,
            LAYER,
        ),
        (
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
    );
    let own = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    for (tag, (index, image, config, layer)) in [("oci", oci), ("docker", docker)] {
        wait(async {
            let mut images = Vec::new();
            for platform in ["linux/s390x", own] {
                let content = gzip(&tar(&[(b'0', "app/for", platform.as_bytes())]));
                let config = registry.blob("team/image", config, "{}").await?;
                let layer = registry.blob("team/image", layer, content).await?;
                let mut manifest = manifest(&config, &[layer]);
                manifest["mediaType"] = json!(image);
                let blob = registry.manifest("team/image", &platform.replace('/', "-"), &manifest).await?;
                images.push(blob.made_for(platform).descriptor().clone());
            }
            let index = json!({"schemaVersion": 2, "mediaType": index, "manifests": images});
            registry.manifest("team/image", tag, &index).await
        });
        let name = format!("team/image:{tag}");
        let files = |more: Value| {
            let client = Client::new(&registry);
            client.files(&client.source(&name, &more))
        };
        assert_eq!(files(json!({"path": "app"})), [format!("for={own}")]);
        assert_eq!(files(json!({"path": "app", "platform": "linux/s390x"})), ["for=linux/s390x"]);

        let client = Client::new(&registry);
        let log = client.boot(&client.source(&name, &json!({}))).log();
        assert!(log.contains(&format!("the image for {own} is sha256:")), "{log}");
        let (exit_code, message) =
            client.failure(&client.source(&name, &json!({"platform": "linux/arm/v7"})));
        assert_eq!((exit_code, code(&message)), (69, "BL2101"), "{message}");
        for part in ["linux/arm/v7", "linux/s390x", own] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}

#[test]
fn a_public_registry_and_one_without_tls() {
    let open = Registry::start(LOOPBACK, Access::Anonymous).unwrap();
    let plain = Registry::plain(LOOPBACK).unwrap();
    for (registry, more) in [
        (&open, json!({"pullSecret": null})),
        (&plain, json!({"pullSecret": null, "plainHttp": true, "client": {"ca": null}})),
    ] {
        wait(registry.artifact("assets", "v1", &[("a", b"a")]));
        let client = Client::new(registry);
        assert_eq!(client.files(&client.source("assets:v1", &more)), ["a=a"]);
    }
    // Only if the profile sets `plainHttp`.
    let client = Client::of(plain.host(), open.ca(), &plain.pull_secret("x"));
    let (exit_code, message) = client.failure(&client.source("assets:v1", &json!({"pullSecret": null})));
    assert_eq!((exit_code, code(&message)), (75, "BL2202"), "{message}");
    assert!(message.starts_with("https://HOST/v2/assets/manifests/v1: "), "{message}");
}
