//! What to do about an option that is not there, in place of what clap guesses.

use clap::{
    CommandFactory as _, Error,
    error::{ContextKind, ContextValue},
};

use super::Cli;

/// Options of ToolHive's vMCP that vmcp does not have.
const OF_TOOLHIVE: [(&str, &str); 5] = [
    (
        "--group",
        "no backends are found by a group; write them to a file with thv list --group GROUP \
         --format mcpservers > mcp.json, and give that with --mcp-json",
    ),
    ("--optimizer", OPTIMIZER),
    ("--optimizer-embedding", OPTIMIZER),
    ("--embedding-model", OPTIMIZER),
    ("--embedding-image", OPTIMIZER),
];

const OPTIMIZER: &str = "there is no optimizer yet; leave the option out to show all tools in place of find_tool and call_tool";

/// The same error, with a tip where an option is known from elsewhere.
pub(super) fn added(mut error: Error) -> Error {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    if let Some(tip) = tip(option.split('=').next().unwrap_or_default(), &error) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn tip(option: &str, error: &Error) -> Option<String> {
    if let Some((_, tip)) = OF_TOOLHIVE.iter().find(|(known, _)| *known == option) {
        return Some((*tip).to_owned());
    }
    // Before any command there is no other command's usage.
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    if !usage.contains("<COMMAND>") {
        return None;
    }
    let command = Cli::command();
    let serve = command.find_subcommand("serve")?;
    let is_option = serve.get_arguments().any(|argument| {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short().map(|short| format!("-{short}"));
        [long, short].iter().flatten().any(|name| name == option)
    });
    is_option.then(|| format!("{option} belongs behind the command, as in: vmcp serve {option} …"))
}
