//! Errors of the files that a layout adds to the assets.

use bootlace_core::code::{Code, Coded};

/// Why content conflicts with the layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A source provides a file at the path of an env file.
    #[error(
        "source {giver:?} provides the file {path:?}, but assets.layout Optimus writes an env file there: rename it, or \
         set assets.layout to Bootlace"
    )]
    Taken {
        /// The source.
        giver: String,
        /// The path of the file.
        path: String,
    },
    /// A shell cannot read the variable from the file.
    #[error(
        "source {giver:?} sets the variable {name:?}, which a shell cannot read from the env files of assets.layout \
         Optimus: exclude it, rename it to letters, digits and _ and to no name that shells reserve, or set assets.layout \
         to Bootlace"
    )]
    NotForShell {
        /// The source.
        giver: String,
        /// The variable.
        name: String,
    },
}

impl Coded for LayoutError {
    fn code(&self) -> Code {
        match self {
            Self::Taken { .. } => Code::EntriesConflict,
            Self::NotForShell { .. } => Code::VariableNotDeliverable,
        }
    }
}
