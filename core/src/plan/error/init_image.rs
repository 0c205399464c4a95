//! Why the boot image that a pod selects is refused.

use crate::names;
use crate::pod::InvalidImage;
use crate::quote::quoted;

/// Why the boot image that a pod selects is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitImageError {
    /// The annotation is empty.
    #[error(
        "annotation {} is empty: name an image, or remove the annotation to use the default boot image",
        names::ANNOTATION_INIT_IMAGE
    )]
    Empty,
    /// The annotation is not an image reference.
    #[error("annotation {}: {error}", names::ANNOTATION_INIT_IMAGE)]
    NotAnImage {
        /// The reason.
        #[from]
        error: InvalidImage,
    },
    /// The profile does not allow the image.
    #[error(
        "annotation {} is {image:?}, which BootProfile {profile:?} does not allow: {}, or remove the annotation to use the \
         default boot image",
        names::ANNOTATION_INIT_IMAGE,
        remedy(allowed)
    )]
    NotAllowed {
        /// Full reference of the image.
        image: String,
        /// The profile.
        profile: String,
        /// Descriptions of the images that it allows.
        allowed: Vec<String>,
    },
}

fn remedy(allowed: &[String]) -> String {
    match allowed {
        [] => "add the image to boot.initImage.allow of the profile".to_owned(),
        allowed => format!("use one of {}", quoted(allowed)),
    }
}
