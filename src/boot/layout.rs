//! The files that a layout adds to the assets. The layout of Optimus has the boot env a second time, in two
//! files that the plugin images of Optimus source before they start.
//!
//! The format is that of the Optimus client: `NAME='value'`, with a quote in a value as `'\''`, which every
//! POSIX shell reads unchanged, whatever bytes the value contains.
//! <https://github.com/goto/optimus/blob/main/client/cmd/job/run_input.go>

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;

use super::error::{BootError, LayoutError};
use super::merge::{FromSource, MergedContent};
use super::per_container::ContainerFiles;
use bootlace_core::entry::{AssetPath, EnvName, EnvValue, can_be_sourced};
use bootlace_core::names;
use bootlace_core::plan::BootSpec;
use bootlace_core::profile::spec::Layout;

/// An env file among the assets.
pub(crate) struct EnvFile {
    /// The name in the assets folder.
    pub(crate) name: &'static str,
    /// The content, which includes secrets.
    pub(crate) content: Vec<u8>,
}

/// The env files of the layout; none in the layout of Bootlace.
///
/// # Errors
/// If a source provides a file with the same path, or a shell cannot read a variable from the file.
pub(crate) fn env_files(
    content: &MergedContent<'_>,
    spec: &BootSpec<'_>,
    containers: &[ContainerFiles<'_>],
) -> Result<Vec<EnvFile>, BootError> {
    match spec.layout {
        Layout::Bootlace => Ok(Vec::new()),
        Layout::Optimus => optimus(content, containers),
    }
}

fn optimus(
    content: &MergedContent<'_>,
    containers: &[ContainerFiles<'_>],
) -> Result<Vec<EnvFile>, BootError> {
    // Sourcing the file would override the variables of the pod spec, so these are omitted.
    let kept: HashSet<&str> = containers.iter().flat_map(|container| &container.keep).copied().collect();
    let mut env = EnvFile { name: names::FILE_OPTIMUS_ENV, content: Vec::new() };
    let mut secret = EnvFile { name: names::FILE_OPTIMUS_SECRET, content: Vec::new() };
    for (name, FromSource { source, value }) in &content.env {
        if kept.contains(name.as_str()) {
            continue;
        }
        if !can_be_sourced(name.as_str()) {
            return Err(
                LayoutError::NotForShell { giver: (*source).to_owned(), name: name.to_string() }.into()
            );
        }
        let file = if value.is_secret() { &mut secret } else { &mut env };
        assign(&mut file.content, name, value)?;
    }
    for EnvFile { name, .. } in [&env, &secret] {
        check_is_free(name, content)?;
    }
    Ok(vec![env, secret])
}

/// Writes `NAME='value'`.
fn assign(file: &mut Vec<u8>, name: &EnvName, value: &EnvValue) -> Result<(), BootError> {
    let record = value.record(name)?;
    file.extend_from_slice(record.name().as_bytes());
    file.extend_from_slice(b"='");
    for &byte in record.value().as_bytes() {
        match byte {
            b'\'' => file.extend_from_slice(br"'\''"),
            _ => file.push(byte),
        }
    }
    file.extend_from_slice(b"'\n");
    Ok(())
}

fn check_is_free(name: &str, content: &MergedContent<'_>) -> Result<(), LayoutError> {
    let Ok(path) = AssetPath::parse(name) else { return Ok(()) };
    let same = content.files.get(&path).map(|from| (&path, from));
    match same.or_else(|| content.files.obstacle(&path)) {
        None => Ok(()),
        Some((taken, from)) => {
            Err(LayoutError::Taken { giver: from.source.to_owned(), path: taken.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use bootlace_launch::environ;
    use proptest::prelude::*;

    use super::*;
    use bootlace_core::entry::Rename;

    /// The env of a child process after the shell sourced `file` as the plugin images do.
    fn sourced(shell: &str, file: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), file).unwrap();
        let output = Command::new(shell)
            .args(["-c", "set -o allexport; . \"$0\"; set +o allexport; exec cat /proc/self/environ"])
            .arg(path.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
        let records = environ::parse(&output.stdout).unwrap();
        let pair = |record: &environ::Record<'_>| {
            (record.name().to_str().unwrap().to_owned(), record.value().as_bytes().to_vec())
        };
        records.iter().map(pair).collect()
    }

    fn file(values: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        for (position, value) in values.iter().enumerate() {
            let name = EnvName::parse(&format!("V{position}"), Rename::Keys).unwrap();
            assign(&mut file, &name, &EnvValue::parse(&name, value.to_vec(), false).unwrap()).unwrap();
        }
        file
    }

    #[test]
    fn the_format_is_that_of_the_optimus_client() {
        assert_eq!(file(&[b"a b", b"it's", b""]), b"V0='a b'\nV1='it'\\''s'\nV2=''\n");
    }

    /// One process for each shell tests all bytes, and each of these values.
    #[test]
    fn shells_read_the_original_values() {
        let all: Vec<u8> = (1..=255).collect();
        let values: [&[u8]; 7] =
            [&all, b"'", b"''\\'", b"$HOME `id` $(id) \\n \\", b"a\nB='c'\n\r\n", b"", b"\"#!&;|"];
        for shell in ["sh", "bash"] {
            let env = sourced(shell, &file(&values));
            for (position, value) in values.iter().enumerate() {
                assert_eq!(env[&format!("V{position}")], *value, "{shell}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn a_shell_reads_any_value(value in prop::collection::vec(prop_oneof![1u8.., Just(b'\''), Just(b'\\'), Just(b'\n')], 0..60)) {
            prop_assert_eq!(&sourced("sh", &file(&[&value]))["V0"], &value);
        }
    }
}
