//! Archives: what is unpacked, and every kind of entry that is refused, in all three formats.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::server::{Reply, Server, ok};
use super::{Client, MARK};

pub(crate) const REGULAR: u8 = b'0';
pub(crate) const HARD_LINK: u8 = b'1';
pub(crate) const SYMLINK: u8 = b'2';
pub(crate) const DEVICE: u8 = b'3';
const BLOCK_DEVICE: u8 = b'4';
pub(crate) const FOLDER: u8 = b'5';
pub(crate) const PIPE: u8 = b'6';
const GLOBAL: u8 = b'g';

/// An entry: its kind, its name, what it holds.
pub(crate) type Packed<'a> = (u8, &'a str, &'a [u8]);

/// A tar with these entries, their names written as they are: the library's own way would clean them up.
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

/// A server of `archive`.
fn serve(archive: Vec<u8>) -> Server {
    Server::tls(move |_, _| ok(archive.clone()))
}

fn refused(archive: Vec<u8>, says: &Value) -> (u8, String) {
    let client = Client::new();
    let server = serve(archive);
    let (code, sentence) = client.failure(&client.source(&server, &json!({"archive": says}), &json!({})));
    let (_, sentence) = sentence.split_once("of BootProfile \"default\": ").unwrap();
    (code, sentence.to_owned())
}

/// What a git host answers for a ref: one leading folder, folders as entries, the commit in a global header.
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
            let says = json!({"format": format, "stripComponents": 1, "path": "sql", "prefix": "in/"});
            client.boot(&client.source(&server, &json!({"archive": says}), &json!({}))).log();
            let assets = client.container.assets();
            assert_eq!(assets.keys().collect::<Vec<_>>(), ["in/deep/empty.sql", "in/load.sql"], "{format}");
            assert_eq!(assets["in/load.sql"], MARK.as_bytes());
            let left = client.container.tree();
            assert!(left.values().all(|entry| [0o444, 0o555, 0o755].contains(&entry.mode)), "{left:?}");
        }
    }
}

#[test]
fn an_archive_is_unpacked_again_where_the_download_broke() {
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
fn the_archives_own_root_and_leading_dots_are_no_names() {
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
fn an_entry_that_no_task_can_have_is_refused_by_name() {
    let long = "x".repeat(300);
    let cases: [(&[Packed<'_>], &str); 13] = [
        (&[(REGULAR, "../a", b"")], "the archive's entry \"../a\": the path contains \".\" or \"..\""),
        (
            &[(REGULAR, "a/../../b", b"")],
            "the archive's entry \"a/../../b\": the path contains \".\" or \"..\"",
        ),
        (&[(FOLDER, "../", b"")], "the archive's entry \"../\": the path contains \".\" or \"..\""),
        (&[(REGULAR, "/etc/cron.d/a", b"")], "the archive's entry \"/etc/cron.d/a\": the path is absolute"),
        (&[(REGULAR, &long, b"")], "300 bytes, the limit of Linux is 255"),
        (
            &[(SYMLINK, "a", b""), (REGULAR, "a/b", b"")],
            "the archive's entry \"a\" is a symbolic link, and boot takes files only",
        ),
        (&[(HARD_LINK, "a", b"")], "the archive's entry \"a\" is a hard link, and boot takes files only"),
        (&[(DEVICE, "a", b"")], "the archive's entry \"a\" is a device"),
        (&[(BLOCK_DEVICE, "a", b"")], "the archive's entry \"a\" is a device"),
        (&[(PIPE, "a", b"")], "the archive's entry \"a\" is a named pipe"),
        (
            &[(REGULAR, "a", b""), (REGULAR, "./a", b"")],
            "file \"a\": the source gives it twice: rename one of them",
        ),
        (&[(REGULAR, "a", b""), (REGULAR, "a/b", b"")], "file \"a/b\": the source also gives the file \"a\""),
        (&[(REGULAR, "a/b", b""), (REGULAR, "a", b"")], "file \"a\": the source also gives the file \"a/b\""),
    ];
    for (entries, sentence) in cases {
        for archive in [tar(entries), gzip(&tar(entries))] {
            let (code, said) = refused(archive, &json!({}));
            assert_eq!(code, 65);
            assert!(said.contains(sentence), "{said}");
        }
    }
}

#[test]
fn a_name_is_judged_whole_before_it_is_stripped() {
    let (_, said) = refused(tar(&[(REGULAR, "../../a", b"")]), &json!({"stripComponents": 2}));
    assert!(said.starts_with("the archive's entry \"../../a\": the path contains \".\" or \"..\""), "{said}");
}

#[test]
fn a_zips_entries_are_refused_in_the_same_words() {
    let long = "x".repeat(300);
    let cases: [(&[Packed<'_>], &str); 6] = [
        (&[(REGULAR, "../a", b"")], "the archive's entry \"../a\": the path contains \".\" or \"..\""),
        (&[(REGULAR, "/etc/a", b"")], "the archive's entry \"/etc/a\": the path is absolute"),
        (&[(REGULAR, &long, b"")], "300 bytes, the limit of Linux is 255"),
        (&[(SYMLINK, "a", b"")], "the archive's entry \"a\" is a symbolic link"),
        (&[(REGULAR, "a", b""), (REGULAR, "a/b", b"")], "file \"a/b\": the source also gives the file \"a\""),
        // The writer takes no name twice, so the second is changed in its bytes.
        (
            &[(REGULAR, "twice", b"1"), (REGULAR, "twicf", b"2")],
            "the archive's entry \"twice\": the source gives it twice",
        ),
    ];
    for (entries, sentence) in cases {
        let mut archive = zip(entries);
        while let Some(at) = archive.windows(5).position(|name| name == b"twicf") {
            archive[at..at + 5].copy_from_slice(b"twice");
        }
        let (code, said) = refused(archive, &json!({}));
        assert_eq!(code, 65);
        assert!(said.contains(sentence), "{said}");
    }
}

#[test]
fn a_bomb_is_cut_off_and_nothing_of_it_stays() {
    let zeros = vec![0; 64 << 20];
    let limit =
        "file \"zeros\": with it the source gives more than 1048576 bytes: raise limits.size of the source";
    let bombs = [
        gzip(&tar(&[(REGULAR, "small", b"x"), (REGULAR, "zeros", &zeros)])),
        zip(&[(REGULAR, "zeros", &zeros)]),
    ];
    for bomb in bombs {
        assert!(bomb.len() < 1 << 20);
        let (code, said) = refused(bomb, &json!({}));
        assert_eq!(code, 65);
        assert!(said.starts_with(limit), "{said}");
    }
    let names: Vec<_> = (0..101).map(|number| format!("file-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (REGULAR, name.as_str(), b"".as_slice())).collect();
    for many in [tar(&many), gzip(&tar(&many)), zip(&many)] {
        let (code, said) = refused(many, &json!({}));
        assert_eq!(code, 65);
        assert!(
            said.contains("with it the source gives more than 100 files: raise limits.files of the source"),
            "{said}"
        );
    }
}

/// A header that claims a name of many megabytes would be kept in memory.
#[test]
fn a_name_that_never_ends_is_not_kept() {
    let name = "x".repeat(8 << 20);
    let (code, said) = refused(gzip(&tar(&[(REGULAR, &name, b"")])), &json!({}));
    assert_eq!(code, 65);
    assert!(said.contains("more than 1 MiB of names and other headers stand before one file"), "{said}");
}

#[test]
fn what_is_no_archive_says_so() {
    let whole = gzip(&tar(&[(REGULAR, "a", &vec![b'x'; 50_000])]));
    for (bytes, format) in [
        (MARK.repeat(100).into_bytes(), "Auto"),
        (MARK.repeat(100).into_bytes(), "TarGz"),
        (MARK.repeat(100).into_bytes(), "Zip"),
        (whole[..whole.len() - 20].to_vec(), "Auto"),
        (tar(&[(REGULAR, "a", &vec![b'x'; 50_000])])[..20_000].to_vec(), "Auto"),
    ] {
        let (code, said) = refused(bytes, &json!({"format": format}));
        assert_eq!(code, 65, "{said}");
        assert!(said.starts_with("the archive cannot be unpacked: "), "{said}");
    }
}
