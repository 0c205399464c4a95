//! How the story looks on a terminal.

/// A chapter's title.
pub(super) fn chapter(title: &str) {
    println!("\n{}\n{}", bold(title), "─".repeat(title.chars().count()));
}

/// What the teller says.
pub(super) fn say(text: &str) {
    println!("{text}");
}

/// What a program or a file says, set off from what the teller says.
pub(super) fn quote(text: &str) {
    for line in text.trim_end().lines() {
        println!("  │ {line}");
    }
}

fn bold(text: &str) -> String {
    use std::io::IsTerminal as _;
    if std::io::stdout().is_terminal() { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}
