//! Rules for the content of a source: variables and files. Boot validates the content of sources with them,
//! and a profile is validated with them as far as it contains names itself. Without I/O.

mod env;
mod path;
mod reserved;
mod shell;

pub use env::{EnvError, EnvName, EnvValue, MAX_RECORD_BYTES, Rename};
pub use path::{AssetPath, FileTree, PathError, check_name};
#[cfg(test)]
pub(crate) use reserved::RESERVED;
pub use reserved::decides;
pub use shell::can_be_sourced;
