//! Archives: extraction, and every kind of entry that is refused, in all three formats.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::server::{Reply, Server, ok};
use super::{Client, MARK};
use crate::support::code;

pub(crate) const REGULAR: u8 = b'0';
pub(crate) const HARD_LINK: u8 = b'1';
pub(crate) const SYMLINK: u8 = b'2';
pub(crate) const DEVICE: u8 = b'3';
const BLOCK_DEVICE: u8 = b'4';
pub(crate) const FOLDER: u8 = b'5';
pub(crate) const PIPE: u8 = b'6';
const GLOBAL: u8 = b'g';

/// An entry: its kind, name and content.
pub(crate) type Packed<'a> = (u8, &'a str, &'a [u8]);

/// A tar with these entries. The names are written directly, because the library would normalize them.
pub(crate) fn tar(entries: &[Packed<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        let kept = &mut header.as_old_mut().name;
        if name.len() > kept.len() {
            let mut long = tar::Header::new_gnu();
            long.set_entry_type(tar::EntryType::GNULongName);
            long.set_size(name.len() as u64);
            long.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
            long.set_cksum();
            tar.append(&long, name.as_bytes()).unwrap();
        }
        let length = name.len().min(kept.len());
        kept[..length].copy_from_slice(&name.as_bytes()[..length]);
        if [SYMLINK, HARD_LINK].contains(kind) {
            header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        }
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn zip(entries: &[Packed<'_>]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (kind, name, content) in entries {
        let options = SimpleFileOptions::default();
        match *kind {
            FOLDER => zip.add_directory(*name, options).unwrap(),
            SYMLINK => zip.add_symlink(*name, "/etc/passwd", options).unwrap(),
            _ => {
                zip.start_file(*name, options).unwrap();
                zip.write_all(content).unwrap();
            }
        }
    }
    zip.finish().unwrap().into_inner()
}

/// A server that responds with `archive`.
fn serve(archive: Vec<u8>) -> Server {
    Server::tls(move |_, _| ok(archive.clone()))
}

fn refused(archive: Vec<u8>, settings: &Value) -> (u8, String) {
    let client = Client::new();
    let server = serve(archive);
    let (exit_code, message) =
        client.failure(&client.source(&server, &json!({"archive": settings}), &json!({})));
    let (_, message) = message.split_once("of BootProfile \"default\": ").unwrap();
    (exit_code, message.to_owned())
}

/// The archive of a git host for a ref: one leading folder, entries for folders, the commit in a global
/// header.
fn repository() -> Vec<Packed<'static>> {
    vec![
        (FOLDER, "etl-4f2a/", b""),
        (REGULAR, "etl-4f2a/README.md", b"read me"),
        (FOLDER, "etl-4f2a/sql/", b""),
        (REGULAR, "etl-4f2a/sql/load.sql", MARK.as_bytes()),
        (FOLDER, "etl-4f2a/sql/deep/", b""),
        (REGULAR, "etl-4f2a/sql/deep/empty.sql", b""),
        (SYMLINK, "etl-4f2a/link", b""),
    ]
}

#[test]
fn a_sub_folder_of_a_repository_is_unpacked_whatever_the_format() {
    let repository = repository();
    let mut with_commit = vec![(GLOBAL, "pax_global_header", b"52 comment=4f2a\n".as_slice())];
    with_commit.extend(repository.clone());
    for (format, archive) in
        [("Tar", tar(&with_commit)), ("TarGz", gzip(&tar(&with_commit))), ("Zip", zip(&repository))]
    {
        for format in ["Auto", format] {
            let client = Client::new();
            let server = serve(archive.clone());
            let request = json!({"format": format, "stripComponents": 1, "path": "sql", "prefix": "in/"});
            client.boot(&client.source(&server, &json!({"archive": request}), &json!({}))).log();
            let assets = client.container.assets();
            assert_eq!(assets.keys().collect::<Vec<_>>(), ["in/deep/empty.sql", "in/load.sql"], "{format}");
            assert_eq!(assets["in/load.sql"], MARK.as_bytes());
            let left = client.container.tree();
            assert!(left.values().all(|entry| [0o444, 0o555, 0o755].contains(&entry.mode)), "{left:?}");
        }
    }
}

#[test]
fn an_interrupted_archive_is_downloaded_and_unpacked_again() {
    let archive = gzip(&tar(&[(REGULAR, "a", &vec![b'x'; 200_000]), (REGULAR, "b", b"b")]));
    let server = Server::tls(move |_, before| match before {
        0 => Reply::Cut(archive[..archive.len() / 2].to_vec()),
        _ => ok(archive.clone()),
    });
    let client = Client::new();
    client.boot(&client.source(&server, &json!({"archive": {}}), &json!({"attempts": 2}))).log();
    assert_eq!(client.container.assets().keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn the_root_and_leading_dots_are_not_part_of_names() {
    let client = Client::new();
    let server = serve(tar(&[
        (FOLDER, "./", b""),
        (REGULAR, "./a", b"a"),
        (FOLDER, "./b/", b""),
        (REGULAR, "./b/c", b"c"),
    ]));
    client.boot(&client.source(&server, &json!({"archive": {}}), &json!({}))).log();
    assert_eq!(client.container.assets().keys().collect::<Vec<_>>(), ["a", "b/c"]);
}

#[test]
fn invalid_entries_are_refused_by_name() {
    let long = "x".repeat(300);
    let cases: [(&[Packed<'_>], &str, &str); 13] = [
        (&[(REGULAR, "../a", b"")], "BL2306", "archive entry \"../a\": "),
        (&[(REGULAR, "a/../../b", b"")], "BL2306", "archive entry \"a/../../b\": "),
        (&[(FOLDER, "../", b"")], "BL2306", "archive entry \"../\": "),
        (&[(REGULAR, "/etc/cron.d/a", b"")], "BL2306", "archive entry \"/etc/cron.d/a\": "),
        (&[(REGULAR, &long, b"")], "BL2306", "archive entry \"xxx"),
        (&[(SYMLINK, "a", b""), (REGULAR, "a/b", b"")], "BL2303", "archive entry \"a\" "),
        (&[(HARD_LINK, "a", b"")], "BL2303", "archive entry \"a\" is a hard link"),
        (&[(DEVICE, "a", b"")], "BL2303", "archive entry \"a\" is a device"),
        (&[(BLOCK_DEVICE, "a", b"")], "BL2303", "archive entry \"a\" is a device"),
        (&[(PIPE, "a", b"")], "BL2303", "archive entry \"a\" is a named pipe"),
        (&[(REGULAR, "a", b""), (REGULAR, "./a", b"")], "BL2307", "file \"a\": "),
        (&[(REGULAR, "a", b""), (REGULAR, "a/b", b"")], "BL2307", "file \"a/b\": "),
        (&[(REGULAR, "a/b", b""), (REGULAR, "a", b"")], "BL2307", "file \"a\": "),
    ];
    for (entries, expected, start) in cases {
        for archive in [tar(entries), gzip(&tar(entries))] {
            let (exit_code, message) = refused(archive, &json!({}));
            assert_eq!((exit_code, code(&message)), (65, expected), "{message}");
            assert!(message.starts_with(start), "{message}");
        }
    }
}

#[test]
fn names_are_checked_before_they_are_stripped() {
    let (_, message) = refused(tar(&[(REGULAR, "../../a", b"")]), &json!({"stripComponents": 2}));
    assert!(message.starts_with("archive entry \"../../a\": ") && code(&message) == "BL2306", "{message}");
}

#[test]
fn entries_of_a_zip_have_the_same_rules() {
    let long = "x".repeat(300);
    let cases: [(&[Packed<'_>], &str, &str); 6] = [
        (&[(REGULAR, "../a", b"")], "BL2306", "archive entry \"../a\": "),
        (&[(REGULAR, "/etc/a", b"")], "BL2306", "archive entry \"/etc/a\": "),
        (&[(REGULAR, &long, b"")], "BL2306", "archive entry \"xxx"),
        (&[(SYMLINK, "a", b"")], "BL2303", "archive entry \"a\" "),
        (&[(REGULAR, "a", b""), (REGULAR, "a/b", b"")], "BL2307", "file \"a/b\": "),
        // The writer refuses a name that it has already, so the second one is changed in the bytes of the
        // archive.
        (&[(REGULAR, "twice", b"1"), (REGULAR, "twicf", b"2")], "BL2307", "archive entry \"twice\": "),
    ];
    for (entries, expected, start) in cases {
        let mut archive = zip(entries);
        while let Some(at) = archive.windows(5).position(|name| name == b"twicf") {
            archive[at..at + 5].copy_from_slice(b"twice");
        }
        let (exit_code, message) = refused(archive, &json!({}));
        assert_eq!((exit_code, code(&message)), (65, expected), "{message}");
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit_and_removed() {
    let zeros = vec![0; 64 << 20];
    let bombs = [
        gzip(&tar(&[(REGULAR, "small", b"x"), (REGULAR, "zeros", &zeros)])),
        zip(&[(REGULAR, "zeros", &zeros)]),
    ];
    for bomb in bombs {
        assert!(bomb.len() < 1 << 20);
        let (exit_code, message) = refused(bomb, &json!({}));
        assert_eq!((exit_code, code(&message)), (65, "BL2304"));
        assert!(message.starts_with("file \"zeros\": ") && message.contains("1048576 bytes"), "{message}");
    }
    let names: Vec<_> = (0..101).map(|number| format!("file-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (REGULAR, name.as_str(), b"".as_slice())).collect();
    for many in [tar(&many), gzip(&tar(&many)), zip(&many)] {
        let (exit_code, message) = refused(many, &json!({}));
        assert_eq!((exit_code, code(&message)), (65, "BL2304"));
        assert!(message.contains("100 files") && message.contains("limits.files"), "{message}");
    }
}

/// A header that claims a name of many megabytes would be kept in memory.
#[test]
fn an_endless_name_is_not_kept_in_memory() {
    let name = "x".repeat(8 << 20);
    let (exit_code, message) = refused(gzip(&tar(&[(REGULAR, &name, b"")])), &json!({}));
    assert_eq!((exit_code, code(&message)), (65, "BL2303"));
    assert!(message.contains("1 MiB"), "{message}");
}

#[test]
fn invalid_archives_are_refused() {
    let whole = gzip(&tar(&[(REGULAR, "a", &vec![b'x'; 50_000])]));
    for (bytes, format) in [
        (MARK.repeat(100).into_bytes(), "Auto"),
        (MARK.repeat(100).into_bytes(), "TarGz"),
        (MARK.repeat(100).into_bytes(), "Zip"),
        (whole[..whole.len() - 20].to_vec(), "Auto"),
        (tar(&[(REGULAR, "a", &vec![b'x'; 50_000])])[..20_000].to_vec(), "Auto"),
    ] {
        let (exit_code, message) = refused(bytes, &json!({"format": format}));
        assert_eq!((exit_code, code(&message)), (65, "BL2303"), "{message}");
    }
}
