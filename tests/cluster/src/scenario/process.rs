//! The state of a process, as the probe prints it (see the package `bootlace-probe`).

use anyhow::{Context, Result, bail};

/// The last line of the probe.
const END: &str = "end";

/// The parsed output of the probe.
#[derive(Debug, Default)]
pub struct Process {
    /// The arguments of the process, starting with the name of the program.
    pub argv: Vec<Vec<u8>>,
    environ: Vec<Vec<u8>>,
    files: Vec<(String, Vec<u8>)>,
    status: Vec<(String, String)>,
    writes: Vec<(String, String)>,
}

impl Process {
    /// Parses the log of a probe.
    ///
    /// # Errors
    /// If a line was not written by the probe.
    pub fn parse(log: &str) -> Result<Self> {
        let mut process = Self::default();
        for line in log.lines() {
            process
                .add_line(line)
                .with_context(|| format!("parse the line {line:?} of the probe in:\n{log}"))?;
        }
        Ok(process)
    }

    /// Whether a log contains the whole output of a probe.
    #[must_use]
    pub fn is_complete(log: &str) -> bool {
        log.lines().any(|line| line == END)
    }

    fn add_line(&mut self, line: &str) -> Result<()> {
        if line == END {
            return Ok(());
        }
        let (action, rest) = line.split_once(' ').context("no space")?;
        match action {
            "argv" => self.argv.push(unescape(rest.split_once(' ').context("no position")?.1)?),
            "environ" => self.environ.push(unescape(rest)?),
            "file" => {
                let (path, content) = rest.split_once(' ').context("no path")?;
                self.files.push((path.to_owned(), unescape(content)?));
            }
            "status" => self.status.push(pair(rest)?),
            "write" => self.writes.push(pair(rest)?),
            _ => bail!("unknown action"),
        }
        Ok(())
    }

    /// The value of an env variable. `None` if it is not set.
    ///
    /// # Panics
    /// If the environment contains the name several times, because then the value depends on the program.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&[u8]> {
        let start = [name.as_bytes(), b"="].concat();
        let values: Vec<_> =
            self.environ.iter().filter_map(|record| record.strip_prefix(&start[..])).collect();
        assert!(values.len() < 2, "the environment contains {name} {} times", values.len());
        values.first().copied()
    }

    /// The names of the env variables, in the order of the environment.
    #[must_use]
    pub fn env_names(&self) -> Vec<String> {
        let name = |record: &Vec<u8>| record.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
        let names = self.environ.iter().filter_map(name);
        names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
    }

    /// The content of a file that the probe has printed.
    ///
    /// # Errors
    /// If it was not printed.
    pub fn file(&self, path: &str) -> Result<&[u8]> {
        let file = self.files.iter().find(|(name, _)| name == path);
        file.map(|(_, content)| content.as_slice()).with_context(|| format!("{path} was not printed"))
    }

    /// The content of a JSON file that the probe has printed.
    ///
    /// # Errors
    /// If it was not printed, or is not JSON.
    pub fn json(&self, path: &str) -> Result<serde_json::Value> {
        serde_json::from_slice(self.file(path)?).with_context(|| format!("{path} is not JSON"))
    }

    /// A field of `/proc/self/status`, with spaces instead of tabs: `Uid` is `1000 1000 1000 1000`.
    ///
    /// # Errors
    /// If it was not printed.
    pub fn status(&self, field: &str) -> Result<&str> {
        let value = self.status.iter().find(|(name, _)| name == field);
        value.map(|(_, value)| value.as_str()).with_context(|| format!("the status has no field {field}"))
    }

    /// The result of creating a file: `done`, or the error.
    ///
    /// # Errors
    /// If the probe has not tried to create it.
    pub fn write(&self, path: &str) -> Result<&str> {
        let result = self.writes.iter().find(|(name, _)| name == path);
        result.map(|(_, result)| result.as_str()).with_context(|| format!("{path} was not written"))
    }
}

fn pair(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once(' ').context("no value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The inverse of [`slice::escape_ascii`].
fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().context("the last escape is incomplete")? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(str::from_utf8(&digits)?, 16)
                    .context("an escape has no hexadecimal digits")?
            }
            other => other,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescape_is_the_inverse_of_escape_ascii() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&bytes.escape_ascii().to_string()).unwrap(), bytes);
    }

    #[test]
    fn every_kind_of_line_is_parsed() {
        let log = "argv 0 /probe\nargv 1 \nenviron A=1=\\n\nenviron NONE\nfile /a b c\nstatus Uid 1 1\nwrite /x done\nend\n";
        assert!(Process::is_complete(log) && !Process::is_complete("environ A=the end\n"));
        let process = Process::parse(log).unwrap();
        assert_eq!(process.argv, [&b"/probe"[..], b""]);
        assert_eq!((process.env("A"), process.env("NONE")), (Some(&b"1=\n"[..]), None));
        assert_eq!(process.env_names(), ["A", "NONE"]);
        assert_eq!(process.file("/a").unwrap(), b"b c");
        assert_eq!((process.status("Uid").unwrap(), process.write("/x").unwrap()), ("1 1", "done"));
        assert!(Process::parse("nonsense\n").is_err());
    }
}
