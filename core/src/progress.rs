//! The progress that a task reports: the last line of a file that it writes. Pure functions.
//!
//! A task chooses the bytes of the file, and everyone who sees the pod sees the line, so it is short, text,
//! and without characters that change a terminal.

/// Maximum bytes of a line. It is an annotation, which goes to every watcher of pods.
pub const MAX_LINE_BYTES: usize = 256;

/// The last line of `tail`, the end of a file, that is not empty; `None` if all are.
///
/// A task that overwrites its file while the file is emptied leaves NUL bytes at its beginning. They separate
/// lines.
#[must_use]
pub fn last_line(tail: &[u8]) -> Option<String> {
    let lines = tail.split(|byte| matches!(byte, b'\n' | b'\r' | 0));
    lines.rev().find_map(|line| clean(&String::from_utf8_lossy(line)))
}

/// A line that can be shown; `None` if nothing of it can.
#[must_use]
pub fn clean(line: &str) -> Option<String> {
    let visible = line.chars().map(|character| if character.is_control() { ' ' } else { character });
    let mut text: String = visible.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    text.truncate(text.floor_char_boundary(MAX_LINE_BYTES));
    text.truncate(text.trim_end().len());
    (!text.is_empty()).then_some(text)
}

/// Whether a line consists of two numbers such as `40/100`, the only form that Argo Workflows accepts
/// (`Progress.IsValid` in pkg/apis/workflow/v1alpha1): the first is at most the second.
#[must_use]
pub fn is_count(line: &str) -> bool {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let parts = line.split_once('/').and_then(|(done, all)| number(done).zip(number(all)));
    parts.is_some_and(|(done, all)| all > 0 && done <= all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        for (file, line) in [
            (&b""[..], None),
            (b"\n \r\n\0\0", None),
            (b"40/100 parsing", Some("40/100 parsing")),
            (b"1/2\n2/2\n", Some("2/2")),
            (b"1/2\n2/2\n\n  \n", Some("2/2")),
            (b"10 %\r20 %\r", Some("20 %")),
            (b"\0\0\0\0 3/4 \n", Some("3/4")),
            (b"a\x1b[31mb\x07\tc", Some("a [31mb c")),
            (b"\xff\xfe5/6", Some("\u{fffd}\u{fffd}5/6")),
            ("Über 7/8 ✓\n".as_bytes(), Some("Über 7/8 ✓")),
        ] {
            assert_eq!(last_line(file).as_deref(), line, "{file:?}");
        }
    }

    #[test]
    fn a_line_is_bounded() {
        let line = last_line("ä".repeat(10_000).as_bytes()).unwrap();
        assert_eq!((line.len(), line.chars().count()), (256, 128));
        assert_eq!(clean(&format!("{} x", "a".repeat(255))).unwrap().len(), 255);
    }

    #[test]
    fn only_two_numbers_are_a_count() {
        for line in ["0/1", "40/100", "100/100", "007/8"] {
            assert!(is_count(line), "{line}");
        }
        for line in [
            "",
            "1",
            "1/",
            "/1",
            "1/2 x",
            " 1/2",
            "2/1",
            "0/0",
            "-1/2",
            "+1/2",
            "1/2/3",
            "1.5/2",
            "1/99999999999999999999",
        ] {
            assert!(!is_count(line), "{line}");
        }
    }
}
