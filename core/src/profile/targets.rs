//! Names of variables and paths of files that a profile sets: what is valid, in CEL and in Rust.

/// A valid path, except for its length: no part is empty, `.` or `..`. Templates are checked at admission.
macro_rules! cel_is_path {
    ($path:literal) => {
        concat!("!(", $path, ").matches('(^|/)[.]{0,2}(/|$)')")
    };
}
pub(super) use cel_is_path;

/// The equivalent of [`cel_is_path`].
pub(super) fn is_path(path: &str) -> bool {
    path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

/// Whether it is the valid start of a path.
pub(super) fn is_start_of_path(prefix: &str) -> bool {
    is_path(&format!("{prefix}x"))
}

pub(super) fn is_template(text: &str) -> bool {
    text.contains('{')
}

/// Name of a variable as in Kubernetes. The equivalent regular expression is `^[ -<>-~]+$`.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

pub(super) const PREFIX_OF_NAMES: &str =
    "prefix must consist of printable ASCII characters except =, because into is Env: correct it";
pub(super) const PREFIX_OF_PATHS: &str = "prefix must be the start of a path relative to the assets folder: write it \
                                          without a leading slash, and without empty parts, . and ..";
pub(super) const PATH: &str = "file must be a path relative to the assets folder: write it without a leading or \
                               trailing slash, and without empty parts, . and ..";
