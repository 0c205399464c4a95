//! The syntax of the generated pages.

/// The first lines of a page. Its texts come from the code, so the page is linted with the code's comments.
pub(crate) fn head(title: &str, source: &str) -> String {
    format!("# {title}\n<!-- Generated from {source} by `make references`. Do not edit. -->\n\n")
}

/// A text as the content of a table cell: on one line, with escaped bars.
pub(crate) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A text as code in a table cell.
pub(crate) fn code(text: &str) -> String {
    let text = cell(text);
    if text.is_empty() {
        text
    } else if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// The anchor of a heading on GitHub.
pub(crate) fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A row of a table.
pub(crate) fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}
