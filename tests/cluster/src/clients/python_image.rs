//! Images with the Python of Debian and an environment of a client.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bootlace_image::archive::Config;
use bootlace_image::layer::Layer;
use tempfile::TempDir;

use super::debian;
use super::python::Environment;
use crate::command::{command, output};

/// The programs of the environment that install packages, as the starts of file names. `uv` alone has 60 MB.
const INSTALLERS: [&str; 2] = ["pip", "uv"];

/// The packages of Debian in the image. Modules of some wheels, such as those of grpcio and greenlet, are in
/// C++.
const PACKAGES: [&str; 2] = ["python3", "libstdc++6"];

/// Compiles the modules in its arguments and all modules that they import. The hash of the source replaces
/// its time, and is not compared: the files in an image have no times, and do not change.
const COMPILE: &str = "
import importlib, py_compile, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
for module in list(sys.modules.values()):
    file = getattr(module, '__file__', None) or ''
    if file.endswith('.py'):
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(file, doraise=True, invalidation_mode=mode)
";

/// Installs the environment into the cache if necessary, with the image `localhost/NAME:test`, where `NAME`
/// is that of the environment. Returns the folder. See [`write()`].
///
/// # Errors
/// If the packages cannot be installed, or the image cannot be written.
pub async fn prepare(environment: &Environment, modules: &[&str]) -> Result<PathBuf> {
    environment
        .prepare(modules, async |folder, progress| {
            progress.set("writing the image");
            write(folder, environment.name, modules).await
        })
        .await
}

/// Writes the image `localhost/NAME:test` to the cache entry in `folder`: Python, and the environment in its
/// subfolder `venv`, at the same path as on this machine, because programs in the environment contain it.
/// `modules` and everything that they import are compiled, which halves the time of their import.
///
/// # Errors
/// If a module cannot be imported, or a file cannot be read or written.
pub async fn write(folder: &Path, name: &str, modules: &[&str]) -> Result<()> {
    let venv = folder.join("venv");
    let layer = layer(&venv, modules, &[]).await?;
    // As in the official image of Python.
    let config = Config { env: vec![path(&venv)], cmd: vec!["python3".to_owned()], ..Config::default() };
    super::write_image(folder, name, &layer, &config)
}

/// `PATH` in an image with the environment `venv`, as `NAME=value`.
#[must_use]
pub fn path(venv: &Path) -> String {
    format!("PATH={}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", venv.join("bin").display())
}

/// The layer of such an image, with more packages of Debian.
///
/// # Errors
/// If a module cannot be imported, a package is not installed, or a file cannot be read.
pub async fn layer(venv: &Path, modules: &[&str], packages: &[&str]) -> Result<Layer> {
    let mut layer = debian::layer(&[&PACKAGES, packages].concat()).await?;
    layer = debian::add_tree_except(layer, venv, venv, &is_unused)?;
    // The cache is often in the home folder of root, which other users cannot enter.
    for parent in venv.ancestors().skip(1).filter(|parent| parent.parent().is_some()) {
        layer = layer.folder(&parent.display().to_string(), 0o755);
    }
    let compiled = TempDir::new().context("create a folder for compiled modules")?;
    // Some modules write their configuration there when they are imported.
    let home = TempDir::new().context("create a home folder")?;
    let mut python = command(venv.join("bin/python"));
    python.env("PYTHONPYCACHEPREFIX", compiled.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("HOME", home.path());
    output(python.args(["-c", COMPILE]).args(modules)).await.context("compile modules")?;
    add_compiled(layer, compiled.path(), Path::new("/"))
}

/// Whether no pod needs the file or folder of an environment.
fn is_unused(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parent = path.parent().and_then(Path::file_name).unwrap_or_default();
    let is_installer = INSTALLERS.iter().any(|installer| {
        name.strip_prefix(installer).is_some_and(|rest| !rest.starts_with(char::is_alphabetic) || rest == "x")
    });
    name == "tests" || is_installer && (parent == "bin" || parent == "site-packages")
}

/// Adds compiled modules. Python has written that of `/a/b.py` to `a/b.cpython-311.pyc` in `folder`, and
/// reads it from `/a/__pycache__/b.cpython-311.pyc`. `path` is `/a`.
fn add_compiled(mut layer: Layer, folder: &Path, path: &Path) -> Result<Layer> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        let from = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            layer = add_compiled(layer, &from, &path.join(entry.file_name()))?;
        } else {
            let to: PathBuf = path.join("__pycache__").join(entry.file_name());
            let content = std::fs::read(&from).with_context(|| format!("read {}", from.display()))?;
            layer = layer.file(&to.display().to_string(), 0o644, content);
        }
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installers_and_tests_are_not_in_images() {
        let unused = |path: &str| is_unused(Path::new(path));
        let packages = "/venv/lib/python3.11/site-packages";
        for name in ["pip", "pip-23.0.1.dist-info", "uv", "uv-0.13.8.dist-info", "yaml/tests"] {
            assert!(unused(&format!("{packages}/{name}")), "{name}");
        }
        for name in ["uvicorn", "pipes", "uvloop", "yaml", "dagster/pip"] {
            assert!(!unused(&format!("{packages}/{name}")), "{name}");
        }
        for (name, expected) in [("pip3.11", true), ("uv", true), ("uvx", true), ("uvicorn", false)] {
            assert_eq!(unused(&format!("/venv/bin/{name}")), expected, "{name}");
        }
    }
}
