//! The commands of the launcher in a task container.

use bootlace_launch::termination;

use crate::names;
use crate::pod::Container;

/// The command of the launcher, which stores outputs if `handover` contains flags for them.
pub(super) fn command(container: &Container<'_>, handover: Vec<String>) -> Vec<String> {
    let mut words = role_command(if handover.is_empty() { "exec" } else { "run" }, container);
    words.extend(handover);
    words.push("--".to_owned());
    words
}

/// The first words of all commands of the launcher: `launch exec --container=base`.
pub(super) fn role_command(role: &str, container: &Container<'_>) -> Vec<String> {
    let mut words = vec![
        format!("{}/{}", names::MOUNT, names::FILE_LAUNCHER),
        role.to_owned(),
        format!("--container={}", container.name),
    ];
    if let Some(path) = container.termination_message_path.filter(|path| *path != termination::LOG) {
        words.push(format!("--termination-log={path}"));
    }
    words
}
