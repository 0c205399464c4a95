//! The paths of files in the container of the task, and the variable that contains one.

/// The mount path of the boot volume.
pub const MOUNT: &str = "/bootlace";

/// The boot env, relative to [`MOUNT`], in the format of [`crate::environ`].
pub const FILE_ENVIRON: &str = "env/environ";

/// The directory of the keep lists, relative to [`MOUNT`]: one file for each task container, with its name,
/// in the format of [`crate::pod_env`]. Every container with the launcher has one, which is empty if the spec
/// sets no env, because the launcher treats a missing file as a boot that did not finish.
pub const DIR_KEEP: &str = "env/keep";

/// The directory of the references to the boot env, relative to [`MOUNT`]: one file for each task container,
/// with its name, in the format of [`crate::references`]. A container without references has no file.
pub const DIR_REFERENCES: &str = "env/references";

/// The mount path of the output directory of a custom boot image.
pub const MOUNT_OUT: &str = "/bootlace-out";

/// In [`MOUNT_OUT`]: a directory with a file for each variable. The content is the value.
pub const OUT_ENV: &str = "env";

/// In [`MOUNT_OUT`]: variables in the format of [`crate::environ`].
pub const OUT_ENVIRON: &str = "environ";

/// In [`MOUNT_OUT`]: the files for the task, in the same directories as in the task.
pub const OUT_FILES: &str = "files";

/// In [`MOUNT_OUT`]: temporary files of the image.
pub const OUT_TMP: &str = "tmp";

/// In [`MOUNT_OUT`]: a file that exists when the image has succeeded.
pub const OUT_DONE: &str = ".done";

/// The variable with the path of the file in which a task leaves what its abort needs.
pub const ENV_ABORT: &str = "BOOTLACE_ABORT";
