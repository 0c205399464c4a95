//! The layout of the demo on a terminal.

/// Prints the title of a chapter.
pub(super) fn chapter(title: &str) {
    println!("\n{}\n{}", bold(title), "─".repeat(title.chars().count()));
}

/// Prints an explanation.
pub(super) fn print_text(text: &str) {
    println!("{text}");
}

/// Prints a command line that the demo runs.
pub(super) fn print_command(line: &str) {
    println!("$ {line}");
}

/// Prints the content of a file or the output of a program, with a line at its left.
pub(super) fn quote(text: &str) {
    for line in text.trim_end().lines() {
        println!("  │ {line}");
    }
}

fn bold(text: &str) -> String {
    use std::io::IsTerminal as _;
    if std::io::stdout().is_terminal() { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}
