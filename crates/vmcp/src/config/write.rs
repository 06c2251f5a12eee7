//! Writes configuration files for people to go on with: the backends as they were given, and what
//! else a file needs, explained.

use super::tree::{Content, Entry, Node};

const HEAD: &str = "\
# What vmcp serves. Check this file with `vmcp validate --config FILE`, serve it with
# `vmcp serve --config FILE`; `vmcp schema --markdown` explains every key.
#
# ${NAME} in a text is the environment variable NAME, ${NAME:-text} the text where NAME is unset
# or empty, and $${ stands for ${ itself.

# The name under which clients see this server.
";

const TAIL: [&str; 3] = [
    "
# Who may call: everybody who reaches the address that vmcp listens on.
incomingAuth:
  type: anonymous
  # type: oidc            # whoever shows an access token of this provider
  # oidc:
  #   issuer: https://idp.example.com
  #   audience: vmcp
  #   resource: https://vmcp.example.com/mcp

# What backends that are reached by a URL are shown, for example:
# outgoingAuth:
#   source: inline
#   backends:
#     NAME:
#       type: header_injection
#       headerInjection:
#         headerName: Authorization
#         headerValueEnv: NAME_AUTHORIZATION

# How the backends' tools and prompts are named. Here each gets its backend's name in front.
aggregation:
  conflictResolution: prefix
  conflictResolutionConfig:
    prefixFormat: \"{workload}_\"
",
    "
# Defaults that are changed most often:
# operational:
#   logLevel: info
#   timeouts:
#     default: 30s          # a call without a sign of life
",
    "# sessions:
#   ttl: 30m                # how long a session lives that nobody uses
",
];

const EXAMPLE: &str = "
# The MCP servers behind this one.
backends:
  - name: example
    url: http://127.0.0.1:8080/mcp
    # transport: streamable-http    # or sse
    # headers:
    #   X-Tenant: engineering
  # A program that vmcp runs, and speaks to on its standard input and output:
  # - name: files
  #   command: npx
  #   args: [-y, \"@modelcontextprotocol/server-filesystem\", /srv/files]
  #   env:
  #     LOG_LEVEL: warn
";

/// A configuration to begin with.
pub(crate) fn starter() -> String {
    format!("{HEAD}name: vmcp\n{EXAMPLE}{}", TAIL.concat())
}

/// A configuration of these backends, with what it says of their tools, and of how long calls may take.
pub(super) fn configuration<'a>(
    name: &str,
    backends: impl Iterator<Item = &'a Node>,
    tools: &[Node],
    timeouts: &[Entry],
) -> String {
    let items = |nodes: &mut dyn Iterator<Item = &Node>, indent| -> String {
        nodes.map(|node| item(node, indent)).collect()
    };
    let backends = items(&mut backends.into_iter(), 2);
    let [callers, defaults, sessions] = TAIL;
    let mut text = format!(
        "{HEAD}name: {}\n\n# The MCP servers behind this one.\nbackends:\n{backends}{callers}",
        scalar(name)
    );
    if !tools.is_empty() {
        text += &format!(
            "  # Which tools of single backends are shown.\n  tools:\n{}",
            items(&mut tools.iter(), 4)
        );
    }
    if timeouts.is_empty() {
        text += defaults;
    } else {
        text += "\n# A call without a sign of life.\noperational:\n  timeouts:\n    perWorkload:\n";
        text.extend(timeouts.iter().map(|entry| line(entry, 6)));
    }
    text + sessions
}

/// A value in block style, each line indented. What fits behind its key begins with a space.
fn value(node: &Node, indent: usize) -> String {
    match &node.content {
        Content::Null => " ~\n".to_owned(),
        Content::Text(text) => format!(" {}\n", scalar(text)),
        Content::List(items) if items.is_empty() => " []\n".to_owned(),
        Content::Map(entries) if entries.is_empty() => " {}\n".to_owned(),
        Content::List(items) => {
            let items: String = items.iter().map(|one| item(one, indent + 2)).collect();
            format!("\n{items}")
        }
        Content::Map(_) => format!("\n{}", lines(node, indent + 2)),
    }
}

/// An item of a list.
fn item(node: &Node, indent: usize) -> String {
    let text = match &node.content {
        Content::Map(entries) if !entries.is_empty() => lines(node, indent + 2),
        _ => value(node, indent),
    };
    format!("{:indent$}- {}", "", text.trim_start())
}

/// The entries of a map, a line or more for each.
fn lines(node: &Node, indent: usize) -> String {
    let Content::Map(entries) = &node.content else { return String::new() };
    entries.iter().map(|entry| line(entry, indent)).collect()
}

fn line(entry: &Entry, indent: usize) -> String {
    format!("{:indent$}{}:{}", "", scalar(&entry.key), value(&entry.node, indent))
}

/// A text that YAML reads as the same text: plain where that is safe, otherwise as JSON has it.
fn scalar(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | ':');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if begins && !word && !text.ends_with(':') && text.chars().all(plain) {
        return text.to_owned();
    }
    let quoted = serde_json::Value::from(text).to_string();
    quoted.chars().map(escaped).collect()
}

/// A character as JSON text may have it and YAML text may not.
fn escaped(c: char) -> String {
    let hidden = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}'..);
    match u32::from(c) {
        code @ ..=0xffff if hidden => format!("\\u{code:04x}"),
        _ => c.to_string(),
    }
}
