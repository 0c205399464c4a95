//! OCI images without a container runtime, byte for byte the same each time.
//!
//! - [`layer`]: the files of an image, written as a tar in a fixed order with fixed times and owners.
//! - [`archive`]: a layer and its configuration as an OCI image layout in one tar file.
//! - [`product`]: Bootlace's own image.
//!
//! Hand-written because it is a page of code: the image tools that exist stamp the time of the build into the
//! result, so that its digest would differ from build to build.

pub mod archive;
pub mod layer;
pub mod product;
