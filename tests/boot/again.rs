//! Boot runs again: after itself, after another profile, after a run that was killed.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use serde_json::{Value, json};

use crate::support::{Container, code, inline};

fn sources() -> Vec<Value> {
    vec![
        inline("first", &json!({"A": "1"}), &json!({"a/b": "1", "c": "1"})),
        inline("second", &json!({"B": "2"}), &json!({"c": "2"})),
    ]
}

#[test]
fn a_second_run_has_the_same_result() {
    let container = Container::new();
    container.boot(&sources()).log();
    let first = container.tree();
    container.boot(&sources()).log();
    assert_eq!(container.tree(), first);
}

#[test]
fn files_of_earlier_sources_are_removed() {
    let fresh = Container::new();
    fresh.boot(&sources()).log();

    let container = Container::new();
    // Files at the paths of folders, folders at the paths of files, and files that no source provides
    // anymore.
    container
        .boot(&[inline("old", &json!({"OLD": "1"}), &json!({"a": "1", "c/d": "1", "old/e/f": "1"}))])
        .log();
    fs::write(container.at("env/keep/old"), "OLD\0").unwrap();
    container.boot(&sources()).log();
    assert_eq!(container.tree(), fresh.tree());
}

/// The states that a kill can leave: files in the staging folder, assets without env, incomplete folders.
#[test]
fn boot_succeeds_after_a_run_that_was_killed() {
    let fresh = Container::new();
    fresh.boot(&sources()).log();

    for left in [
        &[".staging/0", ".staging/7"][..],
        &[".staging/1", "assets/a/b", "assets/a/x"],
        &["assets/c/c/c", "bin/launch", "task.json", ".staging/2"],
        &["bin/launch", "env/keep/base", "env/keep/gone", ".staging/0"],
        &["task.json", "env/environ", ".staging/0"],
    ] {
        let container = Container::new();
        for path in left {
            let path = container.at(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "half").unwrap();
        }
        container.boot(&sources()).log();
        let strip = |container: &Container| {
            container.tree().into_iter().map(|(path, entry)| (path, entry.content)).collect::<Vec<_>>()
        };
        assert_eq!(strip(&container), strip(&fresh), "{left:?}");
    }
}

/// Task containers mount the assets folder by subPath, which is a bind mount of its inode.
#[test]
fn the_assets_folder_keeps_its_inode() {
    let container = Container::new();
    container.boot(&sources()).log();
    let inode = |container: &Container| fs::metadata(container.at("assets")).unwrap().ino();
    let first = inode(&container);
    container.boot(&[]).log();
    assert_eq!(inode(&container), first);
    assert!(container.assets().is_empty());
}

/// A failed boot leaves no env, and the launcher does not start a task without it.
#[test]
fn a_failed_run_removes_the_env_of_an_earlier_one() {
    let container = Container::new();
    container.boot(&sources()).log();
    assert!(container.at("env/environ").exists());
    container.boot(&[inline("bad", &json!({"A=B": "1"}), &json!({}))]).failure();
    assert!(!container.at("env/environ").exists());
    assert!(container.assets().is_empty());
    container.boot(&sources()).log();
    assert_eq!(container.env().len(), 2);
}

#[test]
fn links_are_removed_and_not_followed() {
    let container = Container::new();
    let outside = container.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("b"), "untouched").unwrap();
    fs::create_dir_all(container.at("assets/deep")).unwrap();
    symlink(&outside, container.at("assets/a")).unwrap();
    symlink(&outside, container.at("assets/deep/link")).unwrap();
    symlink(outside.join("b"), container.at("assets/c")).unwrap();
    symlink(outside.join("b"), container.at("task.json")).unwrap();
    container.boot(&sources()).log();
    assert_eq!(fs::read(outside.join("b")).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(container.assets()["a/b"], b"1");
}

#[test]
fn a_link_in_place_of_a_folder_of_bootlace_is_refused() {
    for own in ["assets", "env", "bin", ".staging"] {
        let container = Container::new();
        let outside = container.beside("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("environ"), "untouched").unwrap();
        symlink(&outside, container.at(own)).unwrap();
        let (exit_code, message) = container.boot(&sources()).failure();
        assert_eq!((exit_code, code(&message)), (74, "BL2501"));
        assert!(message.contains(own), "{message}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{own}");
    }
}
