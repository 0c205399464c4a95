//! Values of pods and durations, for a terminal. Anyone who creates a pod chooses its values.

/// Maximum characters of a value.
const MAX_CHARS: usize = 1024;

/// A value of a pod as one line, without characters that change a terminal or the order of the text, and of
/// limited length.
pub(super) fn clean(text: &str) -> String {
    let line = crate::text::one_line(text.trim());
    let visible = line.chars().filter(|character| !is_invisible(*character));
    // Several lines are joined with single spaces.
    let visible: String = visible.collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    abridge(&line, MAX_CHARS)
}

/// Whether a character is not visible, but changes the order or the look of others (Unicode, UAX 9).
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// A text of at most `chars` characters. An omission is shown as `…`.
pub(super) fn abridge(text: &str, chars: usize) -> String {
    if text.chars().nth(chars).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// Seconds as kubectl shows ages (`HumanDuration` in k8s.io/apimachinery, pkg/util/duration).
pub(super) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_change_the_terminal() {
        assert_eq!(clean(" a\u{1b}]0;x\u{7}\r\nb\u{9b}31m\u{202e}c\u{200b}\n"), "a ]0;x b 31mc");
        assert_eq!(clean(&"ä".repeat(2000)).chars().count(), MAX_CHARS);
        assert_eq!((abridge("abc", 3), abridge("ab cd", 4)), ("abc".to_owned(), "ab…".to_owned()));
    }

    #[test]
    fn durations_are_those_of_kubectl() {
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (700_000, "8d"),
            (63_072_000, "2y"),
            (63_200_000, "2y1d"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }
}
