//! HTTP/1.1: reads the table.

use super::{Gets, Rule};

/// The rules, and how they are written down.
const TABLE: &str = include_str!("http1.txt");

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// The rules of HTTP/1.1, for an MCP endpoint at `/mcp` and a session of it that can be pinged.
pub fn http1(session: &str) -> Vec<Rule> {
    let rows = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.flat_map(|row| {
        let (says, rest) = row.split_once(" | ").expect("a rule says something");
        let (gets, sent) = rest.split_once(" | ").expect("a client sends something");
        let gets = gets_of(gets).expect("a client gets something");
        match sent.strip_prefix("{coding:").and_then(|coding| coding.strip_suffix('}')) {
            Some(coding) => codings(session, says, coding, gets),
            None => vec![rule(session, says, sent, gets)],
        }
    })
    .collect()
}

fn gets_of(text: &str) -> Option<Gets> {
    let (how, status) = text.split_once(' ')?;
    let status = status.parse().ok()?;
    match how {
        "then" => Some(Gets::Then(status)),
        "last" => Some(Gets::Last(status)),
        _ => None,
    }
}

/// A coding alone; and where it must not be, which is beside a length and in HTTP/1.0.
fn codings(session: &str, says: &str, coding: &str, gets: Gets) -> Vec<Rule> {
    const BODY: &str = r"\r\n28\r\n{ping}\r\n0\r\n\r\n";
    let both = format!("{says}, beside a length");
    let bad = Gets::Last(400);
    [
        (says, "{post}{host}{mcp}{coding}", gets),
        (says, r"POST /mcp HTTP/1.0\r\n{host}{mcp}{coding}", bad),
        (&both, "{post}{host}{length}{mcp}{coding}", bad),
        (&both, "{post}{host}{mcp}{coding}{length}", bad),
    ]
    .map(|(says, head, gets)| {
        let head = head.replace("{coding}", &format!(r"{coding}\r\n"));
        rule(session, says, &format!("{head}{BODY}"), gets)
    })
    .into()
}

fn rule(session: &str, says: &str, sent: &str, gets: Gets) -> Rule {
    let sent = unescaped(sent)
        .replace("{chunked}", "{post}{host}{mcp}Transfer-Encoding: chunked\r\n\r\n")
        .replace("{mcp}", "{json}{accept}application/json, text/event-stream\r\n")
        .replace("{json}", "{type}application/json\r\n")
        .replace("{type}", "Mcp-Session-Id: {session}\r\nContent-Type: ")
        .replace("{accept}", "Accept: ")
        .replace("{session}", session)
        .replace("{post}", "POST /mcp HTTP/1.1\r\n")
        .replace("{host}", "Host: localhost\r\n")
        .replace("{lines}", &"X: y\r\n".repeat(101))
        .replace("{large}", &format!("X: {}\r\n", "y".repeat(100 << 10)))
        .replace("{length}", &format!("Content-Length: {}\r\n", PING.len()))
        .replace("{ping}", PING);
    Rule { says: format!("RFC {says}"), sent: sent.into_bytes(), gets }
}

/// The text that a row stands for.
fn unescaped(row: &str) -> String {
    let (mut text, mut rest) = (String::new(), row);
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let (character, length) = match escape.as_bytes().first() {
            Some(b'r') => ('\r', 1),
            Some(b'n') => ('\n', 1),
            Some(b't') => ('\t', 1),
            Some(b'0') => ('\0', 1),
            Some(b'u') => {
                let (code, _) = escape[2..].split_once('}').expect("an escape ends");
                let code = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
                (code.expect("an escape is a character"), escape.find('}').map_or(0, |at| at + 1))
            }
            other => panic!("an escape that is none: {other:?} in {row}"),
        };
        text.push(character);
        rest = &escape[length..];
    }
    text + rest
}
