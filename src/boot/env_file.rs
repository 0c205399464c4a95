//! The env file that the kubelet reads for `fileKeyRef`: `NAME='value'`, with literals in single quotes.
//!
//! A value that this format cannot represent is an error, never a wrong value in the task. The rules are
//! those of the kubelet since Kubernetes 1.35 (kubernetes/kubernetes, `pkg/kubelet/util/env/env_util.go` and
//! `pkg/kubelet/kubelet_pods.go`).

/// Maximum size of a line including its end: the limit of the kubelet's scanner (Go,
/// `bufio.MaxScanTokenSize`).
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Appends a variable to `file`.
pub(super) fn append(file: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), NotInFile> {
    if name.starts_with(['#', ' ']) || name.ends_with(' ') {
        return Err(NotInFile::Name);
    }
    if value.is_empty() {
        return Err(NotInFile::Empty);
    }
    if value.contains(&b'\'') {
        return Err(NotInFile::Quote);
    }
    if value.windows(2).any(|two| two == b"\r\n") {
        return Err(NotInFile::CarriageReturn);
    }
    if str::from_utf8(value).is_err() {
        return Err(NotInFile::NotUtf8);
    }
    let start = file.len();
    for part in [name.as_bytes(), b"='", value, b"'\n"] {
        file.extend_from_slice(part);
    }
    let record = file.get(start..).unwrap_or_default();
    match record.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::len).max() {
        Some(size) if size > MAX_LINE_BYTES => Err(NotInFile::LongLine { size }),
        _ => Ok(()),
    }
}

/// Why the kubelet cannot read a variable from the env file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotInFile {
    /// The kubelet would read a comment, or another name.
    #[error("its name starts with # or a space, or ends with a space, which the kubelet cannot read")]
    Name,
    /// The kubelet treats an empty value as missing.
    #[error("its value is empty, which the kubelet treats as missing")]
    Empty,
    /// The format has no escape for a single quote.
    #[error("its value contains a single quote, which ends a value in the env file")]
    Quote,
    /// The kubelet drops the carriage return.
    #[error("its value has a carriage return at the end of a line, which the kubelet drops")]
    CarriageReturn,
    /// The kubelet passes strings to the container runtime.
    #[error("its value is not UTF-8, which the kubelet cannot pass to a process")]
    NotUtf8,
    /// The kubelet's scanner stops at a longer line.
    #[error("a line of its value has {size} bytes, but the kubelet reads at most {MAX_LINE_BYTES}")]
    LongLine {
        /// Size of the line in bytes, including the name and the quotes.
        size: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rules of the kubelet's parser.
    fn kubelet_reads(file: &[u8], key: &str) -> Result<String, String> {
        // Go's `bufio.ScanLines`: a line ends with a newline, and a carriage return before it is dropped.
        let mut lines = file.split_inclusive(|&byte| byte == b'\n').map(|line| {
            if line.len() > MAX_LINE_BYTES {
                return Err("token too long".to_owned());
            }
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            Ok(String::from_utf8(line.strip_suffix(b"\r").unwrap_or(line).to_vec()).unwrap())
        });
        while let Some(line) = lines.next() {
            let line = line?;
            let line = line.trim_start_matches([' ', '\t']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or("missing '='")?;
            if name.trim_end_matches([' ', '\t']) != name || name.is_empty() {
                return Err("whitespace before '='".to_owned());
            }
            let mut rest = value.strip_prefix('\'').ok_or("no quote")?.to_owned();
            let mut read = String::new();
            loop {
                if let Some((inside, behind)) = rest.split_once('\'') {
                    read.push_str(inside);
                    let behind = behind.trim_start_matches([' ', '\t']);
                    if !behind.is_empty() && !behind.starts_with('#') {
                        return Err("content after the quote".to_owned());
                    }
                    break;
                }
                read.push_str(&rest);
                read.push('\n');
                rest = lines.next().ok_or("unclosed quote")??;
            }
            if name == key {
                return Ok(read);
            }
        }
        Ok(String::new())
    }

    /// The kubelet accepts more names than a shell.
    #[test]
    fn names_that_the_kubelet_can_read_are_accepted() {
        for name in ["A", "spring.datasource.url", "db-user", "Logging:LogLevel", "1A", "A B", "A#B", "'"] {
            let mut file = Vec::new();
            append(&mut file, name, b"x").unwrap();
            append(&mut file, "B", b"y").unwrap();
            assert_eq!(kubelet_reads(&file, name).as_deref(), Ok("x"), "{name}");
            assert_eq!(kubelet_reads(&file, "B").as_deref(), Ok("y"), "{name}");
        }
        for name in ["#A", " A", "A ", " "] {
            assert_eq!(append(&mut Vec::new(), name, b"x"), Err(NotInFile::Name), "{name:?}");
            let file = format!("{name}='x'\n").into_bytes();
            assert_ne!(kubelet_reads(&file, name).as_deref(), Ok("x"), "{name:?}");
        }
    }

    fn refused(value: &[u8]) -> Option<NotInFile> {
        append(&mut Vec::new(), "A", value).err()
    }

    #[test]
    fn values_that_the_kubelet_would_change_are_refused() {
        assert_eq!(refused(b""), Some(NotInFile::Empty));
        assert_eq!(refused(b"it's"), Some(NotInFile::Quote));
        assert_eq!(refused(b"a\r\nb"), Some(NotInFile::CarriageReturn));
        assert_eq!(refused(b"\xff"), Some(NotInFile::NotUtf8));
        for value in ["\"$A` \\ # =", "one\ntwo\n", "\n", "a\rb", "ends\r", " é "] {
            assert_eq!(refused(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn lines_up_to_the_limit_of_the_kubelet_are_accepted() {
        let longest = MAX_LINE_BYTES - "A=''\n".len();
        for (value, fits) in [
            (vec![b'x'; longest], true),
            (vec![b'x'; longest + 1], false),
            (["x".repeat(60_000), "y".repeat(60_000)].join("\n").into_bytes(), true),
            (["x".to_owned(), "y".repeat(MAX_LINE_BYTES)].join("\n").into_bytes(), false),
        ] {
            assert_eq!(refused(&value).is_none(), fits, "{} bytes", value.len());
            let mut file = [b"A='".as_slice(), &value, b"'\nB='1'\n"].concat();
            assert_eq!(kubelet_reads(&file, "B").is_ok(), fits);
            file.truncate(0);
        }
    }

    proptest! {
        #[test]
        fn the_kubelet_reads_what_was_written(values in prop::collection::vec("[ab'\"#= \t\r\n$é]{0,12}", 1..6)) {
            let mut file = Vec::new();
            let mut written = Vec::new();
            for (number, value) in values.iter().enumerate() {
                let mut with = file.clone();
                if append(&mut with, &format!("V{number}"), value.as_bytes()).is_ok() {
                    file = with;
                    written.push((format!("V{number}"), value));
                }
            }
            for (name, value) in written {
                let read = kubelet_reads(&file, &name);
                prop_assert_eq!(read.as_ref(), Ok(value));
            }
        }
    }
}
