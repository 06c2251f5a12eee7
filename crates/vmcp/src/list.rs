//! `vmcp list` and `vmcp tools`: what a server offers, for people or as JSON.

use serde_json::{Map, Value};
use vmcp_model::Kind;

use crate::{
    cli,
    logging::Logging,
    output::{self, QUIET, STRONG, line},
    printable, target,
};

/// The width of the first column beyond which what follows goes on a line of its own.
const COLUMN: usize = 56;

/// The longest description that is shown.
const DESCRIPTION: usize = 100;

/// What each line needs: the item's name with its parameters, and what it is for.
struct Row {
    name: String,
    parameters: String,
    text: String,
}

pub(crate) fn run(target: &cli::Target, what: cli::What, logging: Logging) -> anyhow::Result<()> {
    let kinds = what.kinds();
    target::run(target, logging, None, async |server| {
        let mut lists = Vec::new();
        for kind in kinds {
            lists.push((*kind, server.client.list(*kind).await?));
        }
        if !server.lacks_all() {
            show_all(lists, target.json)?;
        }
        server.tell_lacks()
    })
}

fn show_all(lists: Vec<(Kind, Vec<Value>)>, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let lists: Map<String, Value> = lists
            .into_iter()
            .map(|(kind, items)| (kind.list_member().to_owned(), Value::Array(items)))
            .collect();
        return output::json(&lists);
    }
    for (index, (kind, items)) in lists.iter().enumerate() {
        if index > 0 {
            line(format_args!(""))?;
        }
        show(*kind, items)?;
    }
    Ok(())
}

/// What stands above a list of this kind.
pub(crate) fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool => "Tools",
        Kind::Resource => "Resources",
        Kind::ResourceTemplate => "Templates",
        Kind::Prompt => "Prompts",
    }
}

fn show(kind: Kind, items: &[Value]) -> anyhow::Result<()> {
    line(format_args!("{STRONG}{}{STRONG:#} ({})", title(kind), items.len()))?;
    let rows: Vec<Row> = items.iter().map(|item| row(kind, item)).collect();
    let widths = rows.iter().map(Row::width).filter(|width| *width <= COLUMN);
    let column = widths.max().unwrap_or(COLUMN);
    for row in &rows {
        let Row { name, parameters, text } = row;
        let name = format!("{name}{QUIET}{parameters}{QUIET:#}");
        if text.is_empty() {
            line(format_args!("  {name}"))?;
        } else if row.width() > column {
            line(format_args!("  {name}\n  {:column$}  {text}", ""))?;
        } else {
            let gap = column - row.width();
            line(format_args!("  {name}{:gap$}  {text}", ""))?;
        }
    }
    Ok(())
}

impl Row {
    fn width(&self) -> usize {
        self.name.chars().count() + self.parameters.chars().count()
    }
}

fn row(kind: Kind, item: &Value) -> Row {
    let parameters = match kind {
        Kind::Tool => of_tool(&item["inputSchema"]),
        Kind::Prompt => of_prompt(&item["arguments"]),
        Kind::Resource | Kind::ResourceTemplate => String::new(),
    };
    let name = item[kind.key()].as_str().unwrap_or("?");
    let text = ["description", "title", "name"].iter().find_map(|key| item[*key].as_str());
    Row {
        name: printable::line(name),
        parameters: printable::line(&parameters),
        text: text.filter(|text| *text != name).map(brief).unwrap_or_default(),
    }
}

/// The parameters of a tool and their types, those first that it needs; a question mark follows
/// what may be left out.
fn of_tool(schema: &Value) -> String {
    let required = names(&schema["required"]);
    let Some(properties) = schema["properties"].as_object() else { return "()".to_owned() };
    let needed = required.iter().copied().filter(|name| properties.contains_key(*name));
    let others = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
    let one = |name: &str| {
        let (property, mark) = (&properties[name], if required.contains(&name) { "" } else { "?" });
        let kind = match &property["type"] {
            Value::String(kind) => format!(": {kind}"),
            kinds @ Value::Array(_) => format!(": {}", names(kinds).join("|")),
            _ => String::new(),
        };
        format!("{name}{mark}{kind}")
    };
    format!("({})", needed.chain(others).map(one).collect::<Vec<_>>().join(", "))
}

fn of_prompt(arguments: &Value) -> String {
    let one = |argument: &Value| {
        let mark = if argument["required"] == true { "" } else { "?" };
        format!("{}{mark}", argument["name"].as_str().unwrap_or("?"))
    };
    let all: Vec<_> = arguments.as_array().into_iter().flatten().map(one).collect();
    format!("({})", all.join(", "))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The first line of a description, and not too much of it.
fn brief(text: &str) -> String {
    let first = printable::line(text.trim().lines().next().unwrap_or_default());
    if first.chars().count() <= DESCRIPTION {
        return first;
    }
    let cut: String = first.chars().take(DESCRIPTION - 1).collect();
    format!("{}…", cut.trim_end())
}
