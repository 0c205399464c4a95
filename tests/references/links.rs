//! Checks that links between the pages lead to existing files and headings, and that the code map and the
//! owners of code name existing files.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::markdown::anchor;

/// Folders without pages of the project.
const SKIPPED: [&str; 4] = [".git", "target", "dist", "artifacts"];

#[test]
fn every_link_between_pages_leads_to_a_file_and_a_heading() {
    let mut pages = Vec::new();
    find(Path::new(env!("BOOTLACE_ROOT")), &mut pages);
    assert!(pages.len() > 20, "{pages:?}");
    let mut broken = Vec::new();
    for page in &pages {
        for link in links(&prose(page)) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_valid =
                target.exists() && (heading.is_empty() || anchors(&prose(&target)).contains(heading));
            if !is_valid {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn the_code_map_and_the_owners_of_code_name_existing_files() {
    let root = Path::new(env!("BOOTLACE_ROOT"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let contributing = read("CONTRIBUTING.md");
    let map = contributing.split("\n## Code map\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let mapped = rows.flat_map(|(files, _)| files.split(", ")).map(|file| file.trim_matches('`').to_owned());
    let mapped: Vec<_> = mapped.collect();
    let owned = read(".github/CODEOWNERS");
    let owned = owned.lines().filter_map(|line| line.strip_prefix('/')?.split_whitespace().next());
    let owned: Vec<_> = owned.map(str::to_owned).collect();
    assert!(mapped.len() > 30 && owned.len() > 5, "{mapped:?} {owned:?}");
    let missing: Vec<_> = mapped.iter().chain(&owned).filter(|file| !root.join(file).exists()).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md or CODEOWNERS names files that do not exist: {missing:?}");
    // Every folder of the core is a concept that the map describes.
    for folder in fs::read_dir(root.join("core/src")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = format!("core/src/{}/", folder.file_name().unwrap().to_str().unwrap());
        assert!(!folder.is_dir() || mapped.contains(&name), "the code map does not contain {name}");
    }
}

fn find(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !SKIPPED.contains(&name) {
            find(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// A page without its code blocks.
fn prose(page: &Path) -> String {
    let mut code = false;
    let mut text = String::new();
    for line in fs::read_to_string(page).unwrap_or_default().lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// The targets of the links to other pages, without those in code.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in text.lines() {
        // Every second part of a line is code.
        let line = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        targets.extend(line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
    }
    targets.retain(|target| !target.contains("://") && !target.contains([' ', '[', '*']));
    targets
}

/// The anchors of the headings.
fn anchors(text: &str) -> HashSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}
