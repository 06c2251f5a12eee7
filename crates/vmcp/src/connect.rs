//! What the backends of a configuration do when they are connected to, and what comes of it.

use std::{
    convert::Infallible,
    fmt,
    io::{self, IsTerminal as _},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    time::{Instant, interval_at},
};
use vmcp_catalog::{Catalog, Dropped, Route, Target};
use vmcp_core::{BackendState, Background, OfferStatus, Settled, View, Vmcp};
use vmcp_model::{BackendId, Kind};

use crate::{
    compose,
    config::Configuration,
    list::title,
    output::{BAD, GOOD, QUIET, STRONG, Transient, line},
    printable,
    stop::{Hangup, Stop},
    undecided,
};

/// What reading the lists may take beyond what a backend has to initialize.
const LISTS: Duration = Duration::from_secs(10);

/// How long backends may take that nobody wonders about.
const QUICK: Duration = Duration::from_secs(2);

/// What was found out.
pub(crate) struct Findings {
    backends: Vec<Outcome>,
    /// What clients would see: kind, name or URI, and who has it.
    catalog: Vec<(Kind, String, Target)>,
    dropped: Vec<Dropped>,
}

/// How one backend did.
pub(crate) struct Outcome {
    id: BackendId,
    /// How many of each kind it offers, in the order of [`Kind::ALL`], or why that is not known.
    result: Result<[usize; 4], String>,
    /// What it does that no server should, and what it lacks of what the configuration speaks of.
    remarks: Vec<&'static str>,
    took: Duration,
}

/// How long it may take until every backend has answered or failed.
pub(crate) fn patience(configuration: &Configuration) -> Duration {
    let each = configuration.backends.iter().map(|backend| backend.config.timeouts.initialize);
    each.max().unwrap_or_default() + LISTS
}

/// Connects to every backend, and tells what comes of it. Must be called on the control runtime.
pub(crate) async fn connect(configuration: Configuration) -> anyhow::Result<Findings> {
    let told = |vmcp: &Vmcp, view: &View, settled: Settled, began: Instant| {
        let of_backend = |(id, state): (&BackendId, &BackendState)| {
            let remarks = vmcp.backend(id.as_str()).map(|backend| backend.remarks());
            let mut outcome = outcome(id, state, began);
            outcome.remarks.extend(remarks.unwrap_or_default());
            outcome
        };
        Findings {
            backends: view.backends().iter().map(of_backend).collect(),
            catalog: entries(&settled.catalog),
            dropped: view.dropped(),
        }
    };
    settled(configuration, told).await
}

/// Connects to every backend, and gives what is told of it when all have answered or failed, and of when it began.
/// Must be called on the control runtime.
pub(crate) async fn settled<T>(
    mut configuration: Configuration,
    told: impl FnOnce(&Vmcp, &View, Settled, Instant) -> T,
) -> anyhow::Result<T> {
    let patience = patience(&configuration);
    undecided::decide(&mut configuration.backends).await;
    let background = Background::new(Handle::current());
    let vmcp = compose::core(configuration, &background)?;
    let began = Instant::now();
    let view = vmcp.view(&vmcp_backend::ClientView::nobody()).map_err(anyhow::Error::from)?;
    let mut stop = Stop::listen(Hangup::Stops)?;
    let settled = async {
        tokio::select! {
            settled = view.settle(patience) => Ok(settled),
            never = show_waiting(&view) => match never {},
        }
    };
    let settled = stop.unless(settled).await;
    let told = settled.map(|settled| told(&vmcp, &view, settled, began));
    drop(view);
    // Whatever was started to find out ends with it.
    compose::end(&background, &vmcp, stop.told_again()).await;
    told
}

/// Says whom is waited for, where somebody watches.
pub(crate) async fn show_waiting(view: &View) -> Infallible {
    if !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let (shown, began) = (Transient::default(), Instant::now());
    let mut ticks = interval_at(began + QUICK, Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let seconds = began.elapsed().as_secs();
        shown.show(&format!("waiting for {}, {seconds} s", compose::starting(view).join(", ")));
    }
}

/// How a backend did since a moment. One that is still at it is too slow.
pub(crate) fn outcome(id: &BackendId, state: &BackendState, began: Instant) -> Outcome {
    let mut remarks = Vec::new();
    let result = match (&state.status, &state.offer) {
        (OfferStatus::OfCallers, _) => {
            remarks.push(
                "was not asked: it is shown its callers' own credentials, so its lists are read for each of them",
            );
            Ok([0; Kind::ALL.len()])
        }
        (OfferStatus::Failed(why), _) => Err(why.clone()),
        (OfferStatus::Partial(why), _) => Err(format!("some lists could not be read: {why}")),
        (OfferStatus::Good, Some(offer)) => Ok(Kind::ALL.map(|kind| offer.items(kind).len())),
        (OfferStatus::Good | OfferStatus::Unknown, _) => Err("no answer in time".to_owned()),
    };
    let took = state.since.saturating_duration_since(began);
    Outcome { id: id.clone(), result, remarks, took }
}

fn entries(catalog: &Catalog) -> Vec<(Kind, String, Target)> {
    let mut entries = Vec::new();
    for kind in Kind::ALL {
        for key in catalog.keys(kind) {
            if let Some(route) = route(catalog, kind, key) {
                entries.push((kind, key.to_owned(), route.target.clone()));
            }
        }
    }
    entries
}

/// Where a name or URI of a catalog leads.
pub(crate) fn route<'a>(catalog: &'a Catalog, kind: Kind, key: &str) -> Option<&'a Route> {
    match kind {
        Kind::Tool => catalog.tool(key),
        Kind::Resource => catalog.resource(key),
        Kind::ResourceTemplate => catalog.template(key),
        Kind::Prompt => catalog.prompt(key),
    }
}

impl Findings {
    /// The backends that failed.
    pub(crate) fn failed(&self) -> usize {
        self.backends.iter().filter(|backend| backend.result.is_err()).count()
    }

    pub(crate) fn to_json(&self) -> Value {
        let backend = |outcome: &Outcome| {
            let mut json = json!({
                "name": outcome.id.as_str(),
                "ok": outcome.result.is_ok(),
                "milliseconds": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
            });
            match &outcome.result {
                Ok(counts) => {
                    for (kind, count) in Kind::ALL.iter().zip(counts) {
                        json[kind.list_member()] = json!(count);
                    }
                }
                Err(why) => json["error"] = json!(why),
            }
            if !outcome.remarks.is_empty() {
                json["remarks"] = json!(outcome.remarks);
            }
            json
        };
        let mut catalog = json!({});
        for kind in Kind::ALL {
            catalog[kind.list_member()] = json!([]);
        }
        for (kind, key, target) in &self.catalog {
            let mut entry = json!({kind.key(): key});
            match target {
                Target::Backend { backend, name, renamed } => {
                    entry["backend"] = json!(backend.as_str());
                    if *renamed {
                        entry["original"] = json!(name);
                    }
                }
                Target::Own(tool) => entry["own"] = json!(tool.text()),
            }
            if let Some(list) = catalog[kind.list_member()].as_array_mut() {
                list.push(entry);
            }
        }
        let lines = |conflicts: bool| {
            let dropped = self.dropped.iter().filter(|one| one.is_conflict() == conflicts);
            dropped.map(ToString::to_string).collect::<Vec<_>>()
        };
        json!({
            "backends": self.backends.iter().map(backend).collect::<Vec<_>>(),
            "catalog": catalog,
            "conflicts": lines(true),
            "leftOut": lines(false),
        })
    }

    /// Prints everything for people.
    pub(crate) fn show(&self) -> anyhow::Result<()> {
        let width = self.backends.iter().map(|backend| backend.id.as_str().len()).max();
        line(format_args!("\n{STRONG}Backends{STRONG:#}"))?;
        for backend in &self.backends {
            line(format_args!("  {}", backend.shown(width.unwrap_or_default())))?;
            for remark in &backend.remarks {
                line(format_args!("          {QUIET}it {remark}{QUIET:#}"))?;
            }
        }
        for kind in Kind::ALL {
            self.show_kind(kind)?;
        }
        self.show_dropped("Conflicts", Dropped::is_conflict)?;
        self.show_dropped("Left out", |one| !one.is_conflict())
    }

    fn show_dropped(&self, title: &str, which: impl Fn(&Dropped) -> bool) -> anyhow::Result<()> {
        let mut dropped = self.dropped.iter().filter(|one| which(one)).peekable();
        if dropped.peek().is_some() {
            line(format_args!("\n{STRONG}{title}{STRONG:#}"))?;
        }
        dropped.try_for_each(|one| line(format_args!("  {}", printable::line(&one.to_string()))))
    }

    fn show_kind(&self, kind: Kind) -> anyhow::Result<()> {
        let entries: Vec<_> = self.catalog.iter().filter(|(of, ..)| *of == kind).collect();
        if entries.is_empty() {
            return Ok(());
        }
        line(format_args!("\n{STRONG}{}{STRONG:#} ({})", title(kind), entries.len()))?;
        let keys: Vec<_> = entries.iter().map(|(_, key, ..)| printable::line(key)).collect();
        let width = keys.iter().map(|key| key.chars().count()).max().unwrap_or_default();
        for (key, (_, _, target)) in keys.iter().zip(entries) {
            let whose = match target {
                Target::Backend { backend, name, renamed: true } => {
                    format!("{backend}: {}", printable::line(name))
                }
                Target::Backend { backend, .. } => backend.to_string(),
                Target::Own(_) => "vmcp's own".to_owned(),
            };
            line(format_args!("  {key:width$}  {QUIET}{whose}{QUIET:#}"))?;
        }
        Ok(())
    }
}

impl Outcome {
    /// The same of a backend that has failed after that.
    pub(crate) fn failed(self, why: String) -> Self {
        Self { result: Err(why), ..self }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.result.is_ok()
    }

    /// One line, the name as wide as the widest.
    pub(crate) fn shown(&self, width: usize) -> impl fmt::Display {
        let (id, took) = (self.id.as_str(), self.took.as_millis());
        match &self.result {
            Ok([tools, resources, templates, prompts]) => format!(
                "{GOOD}ok{GOOD:#}      {id:width$}  tools {tools}, resources {resources}, \
                 templates {templates}, prompts {prompts}  {QUIET}{took} ms{QUIET:#}"
            ),
            Err(why) => format!("{BAD}failed{BAD:#}  {id:width$}  {}", printable::line(why)),
        }
    }
}
