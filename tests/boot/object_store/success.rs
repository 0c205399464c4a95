//! What one object becomes.

use serde_json::json;

use super::stores::{Kind, Store};
use super::{MARK, boot, failure, source};
use crate::support::{Container, code};

#[test]
fn an_object_becomes_a_file_byte_for_byte() {
    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for store in Store::each("one-object") {
        store.put("jobs/daily/a.bin", &content);
        let container = Container::new();
        let log = boot(
            &container,
            &source(&container, &store, &json!({"object": "jobs/daily/a.bin", "file": "bin/a"})),
        );
        let log = log.log();
        let title = match store.kind {
            Kind::S3 => "s3://one-object/jobs/daily/a.bin",
            Kind::Gcs => "gs://one-object/jobs/daily/a.bin",
            Kind::Azure => "az://devstoreaccount1/one-object/jobs/daily/a.bin",
        };
        assert!(
            log.contains(&format!("source \"assets\" ({title}): 0 variables, 1 file, 292.9 KiB in ")),
            "{log}"
        );
        assert_eq!(container.assets()["bin/a"], content, "{:?}", store.kind);
    }
}

#[test]
fn keys_with_special_characters_are_encoded() {
    for store in Store::each("odd-keys") {
        for key in ["a b/ä€🚀.sql", "50%25?x=1#y&z.txt", "~!'()*,;:@=+$[]{}|^`\"<>", "-", "a..b/..c"] {
            let container = Container::new();
            store.put(key, key.as_bytes());
            boot(&container, &source(&container, &store, &json!({"object": key, "file": "a"}))).log();
            assert_eq!(container.assets()["a"], key.as_bytes(), "{:?}", store.kind);
        }
    }
}

#[test]
fn an_object_of_json_becomes_env_and_files() {
    for store in Store::each("json-object") {
        let content = json!({"env": {"PASSWORD": MARK, "N": 1}, "sql": {"q.sql": "select 1"}});
        store.put("config.json", content.to_string().as_bytes());
        let container = Container::new();
        let json = json!([{"pointer": "/env", "into": "Env", "prefix": "DB_"}, {"pointer": "/sql", "prefix": "sql/"}]);
        boot(&container, &source(&container, &store, &json!({"object": "config.json", "json": json}))).log();
        let env = container.env();
        assert_eq!((&*env["DB_PASSWORD"], &*env["DB_N"]), (MARK.as_bytes(), b"1".as_slice()));
        assert_eq!(container.assets()["sql/q.sql"], b"select 1");

        store.put("config.json", format!("{{\"env\": {MARK}").as_bytes());
        let container = Container::new();
        let source = source(&container, &store, &json!({"object": "config.json", "json": [{"into": "Env"}]}));
        let (exit_code, message) = failure(&container, &source);
        assert_eq!((exit_code, code(&message)), (65, "BL2302"), "{message}");
    }
}

#[test]
fn an_object_that_is_an_archive_is_unpacked() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(8);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, "repo-1/sql/q.sql", b"select 1".as_slice()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, &tar.into_inner().unwrap()).unwrap();
    let archive = gzip.finish().unwrap();
    for store in Store::each("archive-object") {
        store.put("repo.tar.gz", &archive);
        let container = Container::new();
        let archive = json!({"stripComponents": 1, "path": "sql", "prefix": "in/"});
        boot(&container, &source(&container, &store, &json!({"object": "repo.tar.gz", "archive": archive})))
            .log();
        assert_eq!(container.assets()["in/q.sql"], b"select 1");
    }
}

#[test]
fn a_checksum_is_compared() {
    // printf whole | sha256sum
    let sha256 = "e5c5d17f0aeb3ad9bba34a9cac9fa3e2e64ae3d3a5ce2cd5ccf2f8a5e5b1b4c5";
    for store in Store::each("checksum") {
        store.put("a", b"whole");
        let container = Container::new();
        let request = |sha256: &str| json!({"object": "a", "file": "a", "sha256": sha256});
        let (exit_code, message) = failure(&container, &source(&container, &store, &request(sha256)));
        assert_eq!((exit_code, code(&message)), (65, "BL2301"));
        let found = message.split("response is ").nth(1).unwrap().split(',').next().unwrap();
        assert!(message.contains(sha256), "{message}");

        let container = Container::new();
        boot(&container, &source(&container, &store, &request(found))).log();
        assert_eq!(container.assets()["a"], b"whole");
    }
}

#[test]
fn an_object_over_the_limit_is_not_fetched() {
    for store in Store::each("large-object") {
        store.put("a", &vec![b'x'; (1 << 20) + 1]);
        let container = Container::new();
        let (exit_code, message) =
            failure(&container, &source(&container, &store, &json!({"object": "a", "file": "a"})));
        assert_eq!((exit_code, code(&message)), (65, "BL2304"));
        assert!(message.contains("large-object/a: ") && message.contains("1048576 bytes"), "{message}");
    }
}
