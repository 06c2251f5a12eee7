//! `vmcp policy`: what policies allow, to whom and why.

mod cases;

use std::{fs, path::Path, sync::Arc};

use anyhow::bail;
use serde_json::{Value, json};
use tracing::Level;
use vmcp_catalog::{Catalog, Naming};
use vmcp_core::{Explanation, Use, Used, explain};
use vmcp_model::Kind;
use vmcp_policy::{Hints, Policy, Right};

use crate::{
    cli,
    config::{self, Configuration},
    connect,
    logging::Logging,
    output::{self, BAD, GOOD, QUIET},
    printable,
    serve::control_runtime,
    sources, suggest,
};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

pub(crate) fn run(options: cli::Policy, logging: Logging) -> anyhow::Result<()> {
    match options.command {
        cli::PolicyCommand::Explain(options) => explained(&options, logging),
        cli::PolicyCommand::Test(options) => cases::run(&options),
    }
}

fn explained(options: &cli::Explain, logging: Logging) -> anyhow::Result<()> {
    let asked = options.asked.used();
    let connects = options.connect || asked.is_none();
    let configuration = configured(&options.config, connects)?;
    let policy = policy_of(&configuration)?;
    let claims = object(&options.claims, "--claims")?;
    let in_full = asked.is_some();
    let arguments = options.arguments.as_deref();
    let arguments = arguments.map(|text| object(text, "--arguments")).transpose()?;
    let catalog = if connects {
        logging.start_for_people(Level::ERROR);
        let configuration = configuration.clone();
        Some(control_runtime()?.block_on(catalog(configuration))?)
    } else {
        None
    };
    let asked = match asked {
        Some((what, name)) => {
            let backend = backend_of(&configuration, options.backend.as_deref(), what, &name)?;
            vec![Use { what, name, backend, hints: Hints::default(), arguments }]
        }
        None => catalog.iter().flat_map(|catalog| everything(catalog)).collect(),
    };
    if let Some(catalog) = &catalog
        && catalog.backends().is_empty()
    {
        bail!("no backend says what it offers");
    }
    let explain = |asked: &Use| {
        explain(&policy, catalog.as_deref(), &claims, asked)
            .map_err(|nobody| cli::Misuse(format!("--claims: {nobody}")))
    };
    let all = asked.iter().map(explain).collect::<Result<Vec<_>, _>>()?;
    match (options.json, &all[..]) {
        (true, [one]) if in_full => output::json(&one.to_json()),
        (true, all) => output::json(&all.iter().map(Explanation::to_json).collect::<Vec<_>>()),
        (false, all) => all.iter().try_for_each(|one| show(one, in_full)),
    }?;
    if !options.json {
        let groups = policy.groups(&claims).join(", ");
        let groups = if groups.is_empty() { "none" } else { &groups };
        output::line(format_args!("groups of this caller: {}", printable::line(groups)))?;
    }
    if let (Some(one), true) = (all.first(), in_full) {
        warn_of_what_is_unknown(&policy, one, catalog.as_deref());
    }
    Ok(())
}

/// Tells what might be decided otherwise if more were known.
fn warn_of_what_is_unknown(policy: &Policy, one: &Explanation, catalog: Option<&Catalog>) {
    if catalog.is_some() {
        if !one.is_listed {
            output::warning("no backend lists it: a misspelt name is denied or not found");
        }
        return;
    }
    let reads = |word: &str| policy.settings().policies.iter().any(|text| text.contains(word));
    if one.entity_type == "Tool" && reads("Hint") {
        output::warning(
            "policies read the hints of tools, which are not known here; --connect asks for them",
        );
    }
    if one.backend.is_none() && reads("Backend::") {
        output::warning(
            "policies name backends, and it is not known which has this; --backend NAME says it",
        );
    }
}

/// Reads a configuration. Where no backend is asked anything, this machine need not have its secrets.
fn configured(file: &Path, connects: bool) -> anyhow::Result<Configuration> {
    if connects {
        return Ok(config::load(file, &config::environment)?);
    }
    let configuration = sources::load_without_secrets(file)?;
    configuration.notes.iter().for_each(|note| output::warning(&note.to_string()));
    Ok(configuration)
}

/// What judges calls in a configuration.
fn policy_of(configuration: &Configuration) -> anyhow::Result<Arc<Policy>> {
    let policy = configuration.authorization.policy.clone();
    policy.ok_or_else(|| {
        let text = "the configuration has no policies, so everybody may do everything; set \
                    incomingAuth.authz.type to cedar and write some"
            .to_owned();
        cli::Misuse(text).into()
    })
}

/// A JSON object, as it is or in a file.
fn object(text: &str, option: &str) -> anyhow::Result<Vec<u8>> {
    // What is a secret is not printed.
    if text.starts_with("eyJ") {
        let text =
            format!("{option} is a token; give the JSON object of its claims, or a file with it");
        bail!(cli::Misuse(text));
    }
    let text = if text.trim_start().starts_with(['{', '[', '"']) {
        text.to_owned()
    } else {
        let file = Path::new(text);
        read_text(file).map_err(|why| cli::Misuse(format!("{option} {}: {why}", file.display())))?
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(_)) => Ok(text.into_bytes()),
        Ok(_) => Err(cli::Misuse(format!("{option} must be a JSON object")).into()),
        Err(error) => Err(cli::Misuse(format!("{option}: {error}")).into()),
    }
}

/// Reads a file that somebody has named, of a bounded size.
fn read_text(file: &Path) -> Result<String, String> {
    let found = fs::metadata(file).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if found.len() > MAX_BYTES {
        return Err("is larger than 4 MiB".to_owned());
    }
    fs::read_to_string(file).map_err(|error| error.to_string())
}

/// The backend that has something: the one that is named, or the one whose prefix its name has.
fn backend_of(
    configuration: &Configuration,
    named: Option<&str>,
    what: Used,
    name: &str,
) -> anyhow::Result<Option<String>> {
    let Some(named) = named else { return Ok(by_prefix(configuration, what, name)) };
    let ids: Vec<_> = configuration.backends.iter().map(|one| one.config.id.as_str()).collect();
    if !ids.contains(&named) {
        let hint = suggest::did_you_mean(named, ids.iter().copied());
        bail!(cli::Misuse(format!("there is no backend {named:?}{hint}")));
    }
    Ok(Some(named.to_owned()))
}

/// The backend whose prefix a name has, where every name has one.
fn by_prefix(configuration: &Configuration, what: Used, name: &str) -> Option<String> {
    let naming = &configuration.rules.naming;
    if !matches!((naming, what), (Naming::Prefix { .. }, Used::Tool | Used::Prompt)) {
        return None;
    }
    let ids = configuration.backends.iter().map(|backend| &backend.config.id);
    let longest = ids.filter(|id| name.starts_with(&naming.prefixed(id, "")));
    let longest = longest.max_by_key(|id| naming.prefixed(id, "").len());
    longest.map(|id| id.as_str().to_owned())
}

/// What clients that can do nothing would be offered if there were no policies.
async fn catalog(configuration: Configuration) -> anyhow::Result<Arc<Catalog>> {
    let settled = connect::settled(configuration, |_vmcp, _view, settled, _began| settled).await?;
    if !settled.missing.is_empty() {
        let missing: Vec<_> = settled.missing.iter().map(|id| id.as_str()).collect();
        output::warning(&format!("nothing is known of {}", missing.join(", ")));
    }
    Ok(settled.catalog)
}

/// Every use of what a catalog lists, without arguments.
fn everything(catalog: &Catalog) -> Vec<Use> {
    let kinds = [
        (Kind::Tool, Used::Tool),
        (Kind::Resource, Used::Resource),
        (Kind::ResourceTemplate, Used::Template),
        (Kind::Prompt, Used::Prompt),
    ];
    let all = kinds.into_iter().flat_map(|(kind, what)| {
        let names = catalog.keys(kind);
        names.map(move |name| Use {
            what,
            name: name.to_owned(),
            backend: None,
            hints: Hints::default(),
            arguments: None,
        })
    });
    all.collect()
}

/// Says what was decided. One use that was asked for is told with all that decided.
fn show(one: &Explanation, in_full: bool) -> anyhow::Result<()> {
    let Explanation { action, entity_type, name, backend, right, decision, .. } = one;
    let (style, word) = match (right, decision.is_allowed) {
        (_, true) => (GOOD, "allow"),
        (Right::ByArguments, false) if !in_full => (QUIET, "by arguments"),
        (_, false) => (BAD, "deny"),
    };
    let name = printable::line(&json!(name).to_string());
    let of = backend.as_ref().map(|id| format!(" of {id}")).unwrap_or_default();
    output::line(format_args!("{style}{word:<12}{style:#} {action} {entity_type}::{name}{of}"))?;
    if !in_full {
        return Ok(());
    }
    let verb = if decision.is_allowed { "permitted" } else { "forbidden" };
    for policy in &decision.policies {
        output::line(format_args!("  {verb} by {}", printable::line(policy)))?;
    }
    for error in &decision.errors {
        output::line(format_args!("  denied as a policy failed: {}", printable::line(error)))?;
    }
    if !decision.is_allowed && decision.policies.is_empty() && decision.errors.is_empty() {
        output::line(format_args!("  no policy permits it"))?;
    }
    let listed = match right {
        _ if *entity_type == "Method" => return Ok(()),
        Right::Never if *entity_type == "Resource" => "no list shows it",
        Right::Always if *entity_type == "Resource" => "lists show it",
        Right::Never => "no list shows it: no arguments are allowed",
        Right::ByArguments => "lists show it: it depends on the arguments",
        Right::Always => "lists show it: it is allowed whatever the arguments are",
    };
    output::line(format_args!("  {listed}"))
}

impl cli::Asked {
    /// What is asked about, unless it is everything. The command line takes one at most.
    fn used(&self) -> Option<(Used, String)> {
        let Self { tool, prompt, resource, template, method } = self;
        Used::only([tool, prompt, resource, template, method].map(Option::as_deref))
    }
}
