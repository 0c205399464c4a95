//! The page for the command line: every command with its arguments, flags, env variables and defaults.
//!
//! `clap-markdown` would render it too, but without the env variables, which the chart and the injected
//! containers set.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::markdown::{cell, code, head, row};

/// The page.
pub(crate) fn page() -> String {
    let mut page = head("Command line", "the definitions of clap");
    let mut root = bootlace::cli::Cli::command();
    root.build();
    writeln!(page, "{}.\n", cell(&root.get_about().unwrap().to_string())).unwrap();
    page += "Every flag with an env variable can be set by it. A flag on the command line overrides its env variable.\n\n";
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(&mut page, "bootlace", command);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn section(page: &mut String, parent: &str, command: &Command) {
    let name = format!("{parent} {}", command.get_name());
    if command.get_name() == "help" {
        return;
    }
    writeln!(page, "## {name}").unwrap();
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    writeln!(page, "{}.\n", cell(&about).trim_end_matches('.')).unwrap();
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let arguments: Vec<_> =
        arguments.filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())).collect();
    if !arguments.is_empty() {
        page.push_str("| argument | env | default | meaning |\n|---|---|---|---|\n");
        for argument in arguments {
            page.push_str(&row(&cells(argument)));
        }
        page.push('\n');
    }
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(page, &name, command);
    }
}

fn cells(argument: &Arg) -> [String; 4] {
    let values = argument.get_value_names().unwrap_or_default().join(" ");
    let takes_value = argument.get_action().takes_values();
    let name = match argument.get_long() {
        Some(long) if takes_value => format!("--{long} {values}"),
        Some(long) => format!("--{long}"),
        None => values,
    };
    let env = argument.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let mut meaning =
        argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let possible: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| code(value.get_name()))
        .collect();
    // Most texts of clap end without a period.
    if !meaning.is_empty() && !meaning.ends_with('.') {
        meaning.push('.');
    }
    if takes_value && !possible.is_empty() {
        write!(meaning, " One of {}.", possible.join(", ")).unwrap();
    }
    if argument.is_required_set() {
        meaning.push_str(" Required.");
    }
    let default = if takes_value { code(&defaults.join(" ")) } else { String::new() };
    [code(&name), env, default, cell(&meaning)]
}
