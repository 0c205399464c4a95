//! Clients in Java, from Maven Central.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::command::{command, output};

/// The requirements of a client in Java, which are arguments of `hack/machine`.
pub const REQUIREMENTS: [&str; 2] = ["curl", JRE];
/// The Debian package of [`JAVA`]. Images contain the same one.
pub const JRE: &str = "openjdk-17-jre-headless";
/// The Java of Debian, even if another java is first in PATH.
pub const JAVA: &str = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java";

const CENTRAL: &str = "https://repo1.maven.org/maven2";

/// Downloads jars into the folder `into`, and compares their checksums. `list` has a line for each, as
/// `sha256sum` prints them: the checksum and the path in the repository.
///
/// # Errors
/// If a download fails, or a file has another checksum.
pub async fn download(list: &str, into: &Path) -> Result<()> {
    let jars: Vec<_> = list.lines().map(Jar::parse).collect::<Result<_>>()?;
    std::fs::create_dir_all(into).with_context(|| format!("create {}", into.display()))?;
    let mut requests = String::new();
    for Jar { path, file, .. } in &jars {
        writeln!(requests, "url = {CENTRAL}/{path}\noutput = \"{}\"", into.join(file).display())?;
    }
    let config = into.join("curl");
    std::fs::write(&config, requests).with_context(|| format!("write {}", config.display()))?;
    let mut curl = command("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location", "--retry", "3", "--parallel", "--config"]);
    output(curl.arg(&config)).await?;
    std::fs::remove_file(&config).with_context(|| format!("remove {}", config.display()))?;
    for Jar { checksum: expected, path, file } in jars {
        let file = into.join(file);
        let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let checksum = hex::encode(Sha256::digest(bytes));
        if checksum != expected {
            bail!("{CENTRAL}/{path} has the SHA-256 checksum {checksum}; expected: {expected}");
        }
    }
    Ok(())
}

/// A line of a list of jars.
struct Jar<'l> {
    checksum: &'l str,
    /// The path in the repository.
    path: &'l str,
    file: &'l str,
}

impl<'l> Jar<'l> {
    fn parse(line: &'l str) -> Result<Self> {
        let parse = || {
            let (checksum, path) = line.split_once("  ")?;
            Some(Self { checksum, path, file: path.rsplit_once('/')?.1 })
        };
        parse().with_context(|| format!("{line:?} is not a checksum and a path, separated by two spaces"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_checksum_and_a_path() {
        let jar = Jar::parse("ab12  org/example/tool/1.0/tool-1.0.jar").unwrap();
        assert_eq!(
            (jar.checksum, jar.path, jar.file),
            ("ab12", "org/example/tool/1.0/tool-1.0.jar", "tool-1.0.jar")
        );
        for line in ["", "ab12", "ab12 org/example/tool-1.0.jar", "ab12  tool-1.0.jar"] {
            assert!(Jar::parse(line).is_err(), "{line:?}");
        }
    }
}
