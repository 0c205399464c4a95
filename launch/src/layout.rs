//! Where the boot process leaves its files, seen from the task's container.

/// Where the boot volume is mounted.
pub const MOUNT: &str = "/bootlace";

/// The boot env, below [`MOUNT`], in the format of [`crate::environ`].
pub const FILE_ENVIRON: &str = "env/environ";

/// The folder, below [`MOUNT`], of one file a task container, named like the container, in the format of
/// [`crate::pod_env`]. It is there for every container that the launcher starts, and empty where the pod's spec
/// sets no env: the launcher takes a missing file for a boot that did not finish.
pub const DIR_KEEP: &str = "env/keep";

/// The folder, below [`MOUNT`], of the task containers' references to the boot env, in files named like them and in
/// the format of [`crate::references`]. A container without such references has no file.
pub const DIR_REFERENCES: &str = "env/references";

/// Where a boot image of the pod's own leaves what it gives.
pub const MOUNT_OUT: &str = "/bootlace-out";

/// Below [`MOUNT_OUT`]: a file a variable, its content the value.
pub const OUT_ENV: &str = "env";

/// Below [`MOUNT_OUT`]: variables in the format of [`crate::environ`].
pub const OUT_ENVIRON: &str = "environ";

/// Below [`MOUNT_OUT`]: the task's files, in folders as the task sees them.
pub const OUT_FILES: &str = "files";

/// Below [`MOUNT_OUT`]: room for the image's own work, which nobody reads.
pub const OUT_TMP: &str = "tmp";

/// Below [`MOUNT_OUT`]: there once the image has succeeded.
pub const OUT_DONE: &str = ".done";
