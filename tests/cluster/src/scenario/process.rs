//! What a process really holds, as the image without a shell prints it (see the package `bootlace-probe`).

use anyhow::{Context, Result, bail};

/// The probe's last line.
const END: &str = "end";

/// What the probe printed: read back byte for byte.
#[derive(Debug, Default)]
pub struct Process {
    /// Its arguments, the program's name first.
    pub argv: Vec<Vec<u8>>,
    environ: Vec<Vec<u8>>,
    files: Vec<(String, Vec<u8>)>,
    status: Vec<(String, String)>,
    writes: Vec<(String, String)>,
}

impl Process {
    /// Reads a probe's log.
    ///
    /// # Errors
    /// When a line is none of the probe's.
    pub fn read(log: &str) -> Result<Self> {
        let mut process = Self::default();
        for line in log.lines() {
            process.line(line).with_context(|| format!("read the probe's line {line:?} in:\n{log}"))?;
        }
        Ok(process)
    }

    /// Whether a log holds all that a probe printed.
    #[must_use]
    pub fn is_whole(log: &str) -> bool {
        log.lines().any(|line| line == END)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        if line == END {
            return Ok(());
        }
        let (action, rest) = line.split_once(' ').context("it holds no space")?;
        match action {
            "argv" => self.argv.push(unescape(rest.split_once(' ').context("no position")?.1)?),
            "environ" => self.environ.push(unescape(rest)?),
            "file" => {
                let (path, content) = rest.split_once(' ').context("no path")?;
                self.files.push((path.to_owned(), unescape(content)?));
            }
            "status" => self.status.push(pair(rest)?),
            "write" => self.writes.push(pair(rest)?),
            _ => bail!("there is no such action"),
        }
        Ok(())
    }

    /// The value of an env variable; `None` where the process holds none of that name.
    ///
    /// # Panics
    /// When it holds more than one: then it depends on the program which it sees.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&[u8]> {
        let start = [name.as_bytes(), b"="].concat();
        let values: Vec<_> =
            self.environ.iter().filter_map(|record| record.strip_prefix(&start[..])).collect();
        assert!(values.len() < 2, "the process holds {name} {} times", values.len());
        values.first().copied()
    }

    /// The names of its env variables, in its own order.
    #[must_use]
    pub fn env_names(&self) -> Vec<String> {
        let name = |record: &Vec<u8>| record.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
        let names = self.environ.iter().filter_map(name);
        names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
    }

    /// The content of a file that the probe was told to print.
    ///
    /// # Errors
    /// When it was told no such thing.
    pub fn file(&self, path: &str) -> Result<&[u8]> {
        let file = self.files.iter().find(|(of, _)| of == path);
        file.map(|(_, content)| content.as_slice()).with_context(|| format!("{path} was not printed"))
    }

    /// The content of a file that holds JSON.
    ///
    /// # Errors
    /// When it was not printed, or is no JSON.
    pub fn json(&self, path: &str) -> Result<serde_json::Value> {
        serde_json::from_slice(self.file(path)?).with_context(|| format!("{path} is no JSON"))
    }

    /// A field of `/proc/self/status`, its tabs as spaces: `Uid` is `1000 1000 1000 1000`.
    ///
    /// # Errors
    /// When it was not printed.
    pub fn status(&self, field: &str) -> Result<&str> {
        let value = self.status.iter().find(|(of, _)| of == field);
        value.map(|(_, value)| value.as_str()).with_context(|| format!("the status has no {field}"))
    }

    /// What came of creating a file: `done`, or what the system said.
    ///
    /// # Errors
    /// When it was not tried.
    pub fn write(&self, path: &str) -> Result<&str> {
        let result = self.writes.iter().find(|(of, _)| of == path);
        result.map(|(_, result)| result.as_str()).with_context(|| format!("{path} was not written"))
    }
}

fn pair(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once(' ').context("it holds one word")?;
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
        bytes.push(match rest.next().context("it ends in the middle of an escape")? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(str::from_utf8(&digits)?, 16).context("an escape holds no digits")?
            }
            itself => itself,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_probe_escapes_is_read_back_byte_for_byte() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&bytes.escape_ascii().to_string()).unwrap(), bytes);
    }

    #[test]
    fn each_kind_of_line_has_its_place() {
        let log = "argv 0 /probe\nargv 1 \nenviron A=1=\\n\nenviron NONE\nfile /a b c\nstatus Uid 1 1\nwrite /x done\nend\n";
        assert!(Process::is_whole(log) && !Process::is_whole("environ A=the end\n"));
        let process = Process::read(log).unwrap();
        assert_eq!(process.argv, [&b"/probe"[..], b""]);
        assert_eq!((process.env("A"), process.env("NONE")), (Some(&b"1=\n"[..]), None));
        assert_eq!(process.env_names(), ["A", "NONE"]);
        assert_eq!(process.file("/a").unwrap(), b"b c");
        assert_eq!((process.status("Uid").unwrap(), process.write("/x").unwrap()), ("1 1", "done"));
        assert!(Process::read("nonsense\n").is_err());
    }
}
