//! Builds reproducible OCI images without a container runtime.
//!
//! - [`layer`]: the files of an image, as a tar archive in a fixed order with fixed times and owners.
//! - [`archive`]: a layer and its configuration as a tar file with an OCI image layout.
//! - [`product`]: the Bootlace image.
//!
//! Existing image tools write the time of the build into the image, so its digest would change with each
//! build. This is little code instead.

pub mod archive;
pub mod layer;
pub mod product;
