//! What a source may give, one entry at a time: variables and files. Boot checks what a source gave by it, and a profile
//! is checked by it when it is read, as far as it names entries itself. Pure.

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
