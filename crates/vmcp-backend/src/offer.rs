//! Asks a backend for everything it advertises.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use tokio::time::Instant;
use vmcp_model::{InvalidMirror, Item, Kind, Mirror, Offer, raw, raw::Members};

use crate::{
    backend::{Backend, excerpt},
    discovery::check_complete,
    error::Error,
    freshness::Freshness,
    session::Session,
};

/// What a backend advertises, and for how long that may be taken for true.
#[derive(Debug, Clone)]
pub struct Advertised {
    pub offer: Offer,
    /// In the order of [`Kind::ALL`], counted from `read`.
    lists: [Freshness; Kind::ALL.len()],
    pub read: Instant,
}

/// One list as it was read.
struct List {
    items: Vec<Item>,
    /// Counted from `read`.
    freshness: Freshness,
    read: Instant,
}

impl Advertised {
    /// For how long a list may be taken for true, counted from when all was read.
    pub fn freshness(&self, kind: Kind) -> Freshness {
        self.lists[kind as usize]
    }
}

impl Backend {
    /// Reads every list of the backend, page by page. A list that the backend answers with an error
    /// counts as empty, an item that cannot be used is left out; both are logged.
    ///
    /// # Errors
    /// If a list cannot be read, or is none.
    pub async fn offer(self: &Arc<Self>, session: &Session) -> Result<Advertised, Error> {
        let facts = session.facts();
        let (tools, resources, templates, prompts) = tokio::try_join!(
            self.list(session, Kind::Tool, facts.has.tools),
            self.list(session, Kind::Resource, facts.has.resources),
            self.list(session, Kind::ResourceTemplate, facts.has.resources),
            self.list(session, Kind::Prompt, facts.has.prompts),
        )?;
        let read = Instant::now();
        let lists = [&tools, &resources, &templates, &prompts]
            .map(|list| list.freshness.after(read.duration_since(list.read)));
        let offer = Offer {
            capabilities: facts.capabilities.clone(),
            instructions: facts.instructions.clone(),
            tools: tools.items,
            resources: resources.items,
            templates: templates.items,
            prompts: prompts.items,
        };
        Ok(Advertised { offer, lists, read })
    }

    async fn list(
        self: &Arc<Self>,
        session: &Session,
        kind: Kind,
        present: bool,
    ) -> Result<List, Error> {
        let mut list =
            List { items: Vec::new(), freshness: Freshness::default(), read: Instant::now() };
        if !present {
            // What says that there is none is what the backend says about itself.
            return Ok(List { freshness: session.facts().freshness, ..list });
        }
        let mut seen = HashSet::new();
        let mut cursor: Option<Bytes> = None;
        for page in 0..self.limits().list_pages {
            let params =
                cursor.as_ref().map(|cursor| [br#"{"cursor":"#, &cursor[..], b"}"].concat());
            let message = self.ask(session, kind.list_method(), params.as_deref()).await?;
            let Some(result) = message.result_span() else {
                let answer = excerpt(message.text());
                tracing::debug!(backend = %self.id(), method = kind.list_method(), %answer, "the list was refused; it counts as empty");
                return Ok(List { freshness: Freshness::default(), ..list });
            };
            let result = message.slice(&result);
            if session.is_stateless() {
                check_complete(kind.list_method(), &result)?;
                list.note(page == 0, Freshness::of_result(&result));
            }
            let next = self.page(session, kind, &result, &mut list.items)?;
            if list.items.len() > self.limits().list_items {
                return Err(Error::Protocol(format!(
                    "lists more than {} {}s",
                    self.limits().list_items,
                    kind.noun()
                )));
            }
            match next {
                None => return Ok(list),
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                Some(_) => {
                    return Err(Error::Protocol(format!(
                        "{} goes round in circles",
                        kind.list_method()
                    )));
                }
            }
        }
        Err(Error::Protocol(format!("{} has too many pages", kind.list_method())))
    }

    /// Takes the items of one page and gives the cursor of the next (JSON text).
    fn page(
        &self,
        session: &Session,
        kind: Kind,
        result: &Bytes,
        items: &mut Vec<Item>,
    ) -> Result<Option<Bytes>, Error> {
        let shape =
            || Error::Protocol(format!("answered {} with the wrong shape", kind.list_method()));
        let members = Members::parse(result).ok_or_else(shape)?;
        let list =
            members.span(kind.list_member()).map(|span| result.slice(span)).ok_or_else(shape)?;
        for span in raw::elements(&list).ok_or_else(shape)? {
            match Item::parse(kind, list.slice(span)) {
                // A tool of a modern backend that cannot be called as the specification demands is
                // not offered (2026-07-28, basic/transports/streamable-http, "Custom Headers from
                // Tool Parameters"). What others say in this way means nothing.
                Ok(item) => match mirrors(session, kind, &item) {
                    Ok(()) => items.push(item),
                    Err(why) => {
                        tracing::warn!(backend = %self.id(), tool = item.key(), %why, "left out a tool that cannot be called");
                    }
                },
                Err(why) => {
                    tracing::warn!(backend = %self.id(), kind = kind.noun(), %why, "left out an item that cannot be used");
                }
            }
        }
        let next = members.span("nextCursor").map(|span| result.slice(span));
        Ok(next.filter(|next| next.first() == Some(&b'"')))
    }
}

impl List {
    /// Takes in what a page that has just been read says of itself.
    fn note(&mut self, is_first: bool, page: Freshness) {
        let now = Instant::now();
        let before = self.freshness.after(now.duration_since(self.read));
        self.freshness = if is_first { page } else { before.and(page) };
        self.read = now;
    }
}

/// Refuses a tool whose marks no caller could follow.
fn mirrors(session: &Session, kind: Kind, item: &Item) -> Result<(), InvalidMirror> {
    if kind != Kind::Tool || !session.is_stateless() {
        return Ok(());
    }
    Mirror::of_tool(item.json()).map(|_mirrors| ())
}
