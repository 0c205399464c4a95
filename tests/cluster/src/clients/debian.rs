//! Images with the files of Debian packages that are installed on this machine, such as Python or Java.
//!
//! `debootstrap` would download and configure the packages again for each image.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use bootlace_image::layer::Layer;

use crate::command::{command, output};

/// Folders of packages that programs do not need.
const SKIPPED: [&str; 4] =
    ["/usr/share/doc/", "/usr/share/locale/", "/usr/share/man/", "/usr/share/lintian/"];
/// Links to folders in `/usr`, which every current Debian has.
const USR_LINKS: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Packages in every image.
pub const SHELL: [&str; 3] = ["coreutils", "dash", "bash"];

/// A layer with the files of the packages `names`, of [`SHELL`], and of all packages that they depend on,
/// `/tmp`, and users for the IDs 0 and 65534.
///
/// # Errors
/// If a package is not installed, or a file cannot be read.
pub async fn layer(names: &[&str]) -> Result<Layer> {
    let mut layer = Layer::new()
        .folder("/tmp", 0o1777)
        .folder("/root", 0o700)
        .file(
            "/etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        )
        .file("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n");
    for link in USR_LINKS {
        layer = layer.symlink(&format!("/{link}"), &format!("usr/{link}"));
    }
    let mut depends = command("apt-cache");
    depends.args([
        "depends",
        "--recurse",
        "--installed",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
    ]);
    depends.args(["--no-breaks", "--no-replaces", "--no-enhances"]).args(SHELL).args(names);
    let depends = output(&mut depends).await?;
    // The other lines are the dependencies of the package before them, or virtual packages.
    let packages = depends.lines().filter(|line| !line.starts_with([' ', '<', '|']));
    let mut show = command("dpkg-query");
    show.args(["--show", "--showformat", "${db:Status-Status} ${Package}\n"]);
    let installed = output(&mut show).await?;
    let installed: BTreeSet<_> =
        installed.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    // Of alternative dependencies, apt-cache also lists those that are not installed.
    let packages: BTreeSet<_> =
        packages.filter(|package| names.contains(package) || installed.contains(package)).collect();
    let mut list = command("dpkg-query");
    let files = output(list.arg("--listfiles").args(&packages)).await?;
    let files: BTreeSet<_> = files.lines().filter(|file| file.starts_with('/')).collect();
    for file in files {
        if !SKIPPED.iter().any(|folder| file.starts_with(folder)) {
            layer = add(layer, file)?;
        }
    }
    // Links that installation scripts create: the linker cache is not one of them, because the dynamic linker
    // also searches the default folders.
    for link in ["/usr/bin/awk", "/usr/bin/java"] {
        let path = Path::new(link);
        if let Ok(target) = path.canonicalize()
            && packages.iter().any(|package| link_belongs_to(package, link))
        {
            layer = layer.symlink(link, &target.display().to_string());
        }
    }
    Ok(layer)
}

/// Whether the alternative `link` is one that the package installs.
fn link_belongs_to(package: &str, link: &str) -> bool {
    match link {
        "/usr/bin/java" => package.contains("jre-headless"),
        "/usr/bin/awk" => package == "mawk",
        _ => false,
    }
}

/// Adds a file, folder or link of this machine at its real path, because packages still contain paths such as
/// `/lib/…`, which is a link to `/usr/lib`.
fn add(layer: Layer, file: &str) -> Result<Layer> {
    let path = Path::new(file);
    let Some((parent, name)) = path.parent().zip(path.file_name()) else { return Ok(layer) };
    if path.components().nth(2).is_none() && USR_LINKS.contains(&name.to_string_lossy().as_ref()) {
        return Ok(layer);
    }
    // Local configuration can exclude files, as that of many container images does.
    let Ok(parent) = parent.canonicalize() else { return Ok(layer) };
    add_entry(layer, &parent.join(name), &parent.join(name))
}

/// Adds everything in the folder `source` of this machine as the folder `path` of the image.
///
/// # Errors
/// If a file cannot be read.
pub fn add_tree(layer: Layer, path: &Path, source: &Path) -> Result<Layer> {
    add_tree_except(layer, path, source, &|_| false)
}

/// As [`add_tree`], without the files and folders of this machine that `skipped` selects.
///
/// # Errors
/// As [`add_tree`].
pub fn add_tree_except(
    mut layer: Layer,
    path: &Path,
    source: &Path,
    skipped: &dyn Fn(&Path) -> bool,
) -> Result<Layer> {
    layer = layer.folder(&path.display().to_string(), 0o755);
    let entries = std::fs::read_dir(source).with_context(|| format!("list {}", source.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", source.display()))?;
        let (from, to) = (entry.path(), path.join(entry.file_name()));
        // Compiled Python files contain the times of their sources, which images do not have.
        if entry.file_name() == "__pycache__" || skipped(&from) {
            continue;
        }
        layer = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            add_tree_except(layer, &to, &from, skipped)?
        } else {
            add_entry(layer, &to, &from)?
        };
    }
    Ok(layer)
}

fn add_entry(layer: Layer, path: &Path, source: &Path) -> Result<Layer> {
    use std::os::unix::fs::PermissionsExt as _;

    let name = absolute(path).display().to_string();
    let Ok(metadata) = source.symlink_metadata() else { return Ok(layer) };
    if metadata.is_symlink() {
        let target =
            std::fs::read_link(source).with_context(|| format!("read the link {}", source.display()))?;
        return Ok(layer.symlink(&name, &target.display().to_string()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() {
        return Ok(layer.folder(&name, mode));
    }
    let content = std::fs::read(source).with_context(|| format!("read {}", source.display()))?;
    Ok(layer.file(&name, mode, content))
}

/// The path without `.` and `..`.
fn absolute(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            _ => {}
        }
    }
    result
}
