//! The launcher: loads the boot env and execs the task.

fn main() {}
