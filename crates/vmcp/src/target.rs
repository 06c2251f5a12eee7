//! The server that a client command speaks to: one behind a URL, or the gateway of a file, which
//! is served inside this process for as long as the command takes.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::Path, time::Duration};

use anyhow::{anyhow, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::interval;
use tokio_util::task::TaskTracker;
use tracing::Level;
use vmcp_catalog::Rules;
use vmcp_core::{BackendState, OfferStatus, PartialFailure, View};
use vmcp_credentials::RESERVED;
use vmcp_model::{BackendId, Kind};

use crate::{
    cli::{self, Misuse},
    client::{self, Client},
    compose::{self, ENDPOINT, Running},
    config::{self, Configuration},
    connect,
    logging::Logging,
    output, serve, sources,
    stop::{Hangup, Stop},
};

/// How often it is looked whether what a command needs is there.
const LOOK: Duration = Duration::from_millis(20);

/// What a command speaks to.
pub(crate) struct Server {
    pub(crate) client: Client,
    /// The backends behind it with which something is wrong, as far as that is known.
    pub(crate) lacks: Vec<Lack>,
    /// How many backends there are, if that is known.
    backends: Option<usize>,
}

/// What is wrong with a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lack {
    pub(crate) backend: BackendId,
    pub(crate) what: Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It has offered nothing yet, and why is not known.
    NotThereYet,
    Out(String),
    /// It is there, but for some of its lists.
    Partly(String),
}

/// What a command asks for: of a file, nothing else need be there.
pub(crate) type Wanted<'a> = Option<(Kind, &'a str)>;

/// Runs a command against its server.
pub(crate) fn run<T>(
    target: &cli::Target,
    logging: Logging,
    wanted: Wanted<'_>,
    command: impl AsyncFnOnce(&Server) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let is_url = ["http://", "https://"].iter().any(|scheme| target.target.starts_with(scheme));
    let configuration = if is_url { None } else { Some(of_file(target)?) };
    if configuration.as_ref().is_some_and(|configuration| configuration.discovers) {
        output::warning(config::NOT_LOOKED_UP);
    }
    let headers: HeaderMap =
        target.header.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
    // The command itself says what is wrong.
    logging.start_for_people(Level::ERROR);
    serve::control_runtime()?.block_on(async {
        let mut stop = Stop::listen(Hangup::Stops)?;
        let Some(configuration) = configuration else {
            let lacks = |client: &Client| {
                let missing = client.missing().iter().cloned();
                let late = missing.map(|backend| Lack { backend, what: Wrong::NotThereYet });
                (late.collect(), None)
            };
            return with_client(&target.target, headers, &mut stop, lacks, command).await;
        };
        let (patience, rules) = (connect::patience(&configuration), configuration.rules.clone());
        let shows_all = configuration.failures.partial == PartialFailure::Fail;
        let wanted = wanted.filter(|_| !shows_all);
        let running = start(configuration).await?;
        let url = format!("http://{}{ENDPOINT}", running.address);
        let ready = async {
            until_there(&running.view, &rules, wanted, patience).await;
            Ok(())
        };
        let done = match stop.unless(ready).await {
            Ok(()) => {
                let lacks = |_: &Client| {
                    let backends = running.view.backends();
                    (lacks(&backends), Some(backends.len()))
                };
                with_client(&url, HeaderMap::new(), &mut stop, lacks, command).await
            }
            Err(error) => Err(error),
        };
        // Whatever was started for this command ends with it.
        running.stop_at_once(stop.told_again()).await?;
        done
    })
}

/// Waits until every backend has answered or failed, or until that one has which has what is wanted.
async fn until_there(view: &View, rules: &Rules, wanted: Wanted<'_>, patience: Duration) {
    let there = async {
        let Some((kind, key)) = wanted else { return std::future::pending().await };
        let mut ticks = interval(LOOK);
        let is_there = || {
            let catalog = view.catalog();
            let found = connect::route(&catalog, kind, key);
            found.is_some_and(|route| match route.backend() {
                Some(backend) => rules.is_certain(kind, backend, &view.unknown()),
                // It is vmcp's own, which tells of them all.
                None => false,
            })
        };
        while !is_there() && !is_out(view, kind, key) {
            ticks.tick().await;
        }
    };
    tokio::select! {
        _settled = view.settle(patience) => {}
        () = there => {}
        never = connect::show_waiting(view) => match never {},
    }
}

/// Whether all those have failed that can have something of this name, if names have prefixes.
fn is_out(view: &View, kind: Kind, key: &str) -> bool {
    let backends = view.backends();
    let mut holders = backends.iter().filter(|(id, _)| id.owns(key)).peekable();
    matches!(kind, Kind::Tool | Kind::Prompt)
        && holders.peek().is_some()
        && holders.all(|(_, state)| matches!(state.status, OfferStatus::Failed(_)))
}

fn lacks(backends: &BTreeMap<BackendId, BackendState>) -> Vec<Lack> {
    let lacks = backends.iter().filter_map(|(id, state)| {
        let what = match &state.status {
            OfferStatus::Good | OfferStatus::OfCallers => return None,
            OfferStatus::Unknown => Wrong::NotThereYet,
            OfferStatus::Failed(why) => Wrong::Out(why.clone()),
            OfferStatus::Partial(why) => Wrong::Partly(why.clone()),
        };
        Some(Lack { backend: id.clone(), what })
    });
    lacks.collect()
}

impl Server {
    /// Tells of the backends without which an answer is not complete. An error if there is no other.
    pub(crate) fn tell_lacks(&self) -> anyhow::Result<()> {
        if let Some(late) = self.late() {
            output::progress(format_args!("{late}"));
        }
        for lack in self.lacks.iter().filter(|lack| lack.what != Wrong::NotThereYet) {
            output::warning(&lack.to_string());
        }
        if self.lacks_all() {
            bail!("no backend has answered");
        }
        Ok(())
    }

    /// `not there yet: a, b`, if some have offered nothing yet.
    pub(crate) fn late(&self) -> Option<String> {
        let late = self.lacks.iter().filter(|lack| lack.what == Wrong::NotThereYet);
        let late: Vec<_> = late.map(|lack| lack.backend.as_str()).collect();
        // A server tells whom it misses, and not why.
        let more = if self.backends.is_none() { "; GET /status there says why" } else { "" };
        (!late.is_empty()).then(|| format!("not there yet: {}{more}", late.join(", ")))
    }

    /// Whether it is known that no backend is there.
    pub(crate) fn lacks_all(&self) -> bool {
        let out = self.lacks.iter().filter(|lack| lack.is_out()).count();
        self.backends == Some(out)
    }
}

impl Lack {
    fn is_out(&self) -> bool {
        !matches!(self.what, Wrong::Partly(_))
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend {} ", self.backend)?;
        match &self.what {
            Wrong::NotThereYet => write!(f, "is not there yet"),
            Wrong::Out(why) => write!(f, "is out: {why}"),
            Wrong::Partly(why) => write!(f, "has lists that could not be read: {why}"),
        }
    }
}

fn of_file(target: &cli::Target) -> anyhow::Result<Configuration> {
    if !target.header.is_empty() {
        return Err(Misuse("--header is for URLs; a file names its own headers".into()).into());
    }
    let configuration = sources::load_file(Path::new(&target.target))?;
    for warning in &configuration.warnings {
        output::warning(&warning.to_string());
    }
    Ok(configuration)
}

/// A header as it was typed. What is wrong is not quoted: it may be a secret.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), Misuse> {
    let wrong = |why: &str| Misuse(format!("--header: {why}; write 'Name: value'"));
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("there is no colon"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes());
    let name = name.map_err(|_invalid| wrong("what precedes the colon is no name"))?;
    let value = HeaderValue::from_str(value.trim());
    let mut value =
        value.map_err(|_invalid| wrong("the value holds a character that no header may have"))?;
    if RESERVED.contains(&name) {
        return Err(Misuse(format!("--header: {name} belongs to the transport and cannot be set")));
    }
    value.set_sensitive(true);
    Ok((name, value))
}

/// Serves a configuration where nobody else looks for it.
async fn start(mut configuration: Configuration) -> anyhow::Result<Running> {
    configuration.admin = config::Admin::default();
    configuration.sessions.drain_timeout = Duration::from_millis(100);
    // The command has waited for what it needs.
    configuration.sessions.initialize_wait = Duration::ZERO;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    compose::start(configuration, listen, None, None).await
}

async fn with_client<T>(
    url: &str,
    headers: HeaderMap,
    stop: &mut Stop,
    lacks: impl FnOnce(&Client) -> (Vec<Lack>, Option<usize>),
    command: impl AsyncFnOnce(&Server) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let tasks = TaskTracker::new();
    let connected = stop.unless(Client::connect(url, headers, &tasks)).await;
    let client = connected.map_err(|error| advised(error, url))?;
    let (lacks, backends) = lacks(&client);
    let server = Server { client, lacks, backends };
    let done = stop.unless(command(&server)).await;
    // What the command found out is worth more than a good farewell.
    if let Err(error) = server.client.close().await {
        tracing::debug!(%error, "the session was not ended");
    }
    done
}

/// Says what to do about a server that does not let just anybody in.
fn advised(error: anyhow::Error, url: &str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(vmcp_backend::Error::Refused { status: status @ (401 | 403), said, .. }) => {
            // What a server says of itself is more than what can be guessed.
            let said = said.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
            let advice = match (status, &*said) {
                (403, "") | (401, _) => {
                    "; show a credential with --header 'Authorization: Bearer ...'"
                }
                _ => "",
            };
            let url = client::shown(url);
            anyhow!("{url} refuses this caller with HTTP status {status}{said}{advice}")
        }
        _ => error,
    }
}
