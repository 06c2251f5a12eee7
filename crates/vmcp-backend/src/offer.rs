//! Asks a backend for everything it advertises.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use vmcp_model::{Item, Kind, Offer, raw, raw::Members};

use crate::{
    backend::{Backend, excerpt},
    error::Error,
    session::Session,
};

impl Backend {
    /// Reads every list of the backend, page by page. A list that the backend answers with an error
    /// counts as empty, an item that cannot be used is left out; both are logged.
    pub async fn offer(self: &Arc<Self>, session: &Session) -> Result<Offer, Error> {
        let facts = session.facts();
        let (tools, resources, templates, prompts) = tokio::try_join!(
            self.items(session, Kind::Tool, facts.has.tools),
            self.items(session, Kind::Resource, facts.has.resources),
            self.items(session, Kind::ResourceTemplate, facts.has.resources),
            self.items(session, Kind::Prompt, facts.has.prompts),
        )?;
        Ok(Offer {
            capabilities: facts.capabilities.clone(),
            instructions: facts.instructions.clone(),
            tools,
            resources,
            templates,
            prompts,
        })
    }

    async fn items(
        self: &Arc<Self>,
        session: &Session,
        kind: Kind,
        present: bool,
    ) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        let mut seen = HashSet::new();
        let mut cursor: Option<Bytes> = None;
        for _page in 0..self.limits().list_pages {
            if !present {
                break;
            }
            let params =
                cursor.as_ref().map(|cursor| [br#"{"cursor":"#, &cursor[..], b"}"].concat());
            let message = self.ask(session, kind.list_method(), params.as_deref()).await?;
            let Some(result) = message.result_span() else {
                let answer = excerpt(message.text());
                tracing::debug!(backend = %self.id(), method = kind.list_method(), %answer, "the list was refused; it counts as empty");
                break;
            };
            let result = message.slice(&result);
            let next = self.page(kind, &result, &mut items)?;
            if items.len() > self.limits().list_items {
                return Err(Error::Protocol(format!(
                    "lists more than {} {}s",
                    self.limits().list_items,
                    kind.noun()
                )));
            }
            match next {
                None => return Ok(items),
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                Some(_) => {
                    return Err(Error::Protocol(format!(
                        "{} goes round in circles",
                        kind.list_method()
                    )));
                }
            }
        }
        if present && cursor.is_some() && seen.len() >= self.limits().list_pages {
            return Err(Error::Protocol(format!("{} has too many pages", kind.list_method())));
        }
        Ok(items)
    }

    /// Takes the items of one page and gives the cursor of the next (JSON text).
    fn page(
        &self,
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
                Ok(item) => items.push(item),
                Err(why) => {
                    tracing::warn!(backend = %self.id(), kind = kind.noun(), %why, "left out an item that cannot be used");
                }
            }
        }
        let next = members.span("nextCursor").map(|span| result.slice(span));
        Ok(next.filter(|next| next.first() == Some(&b'"')))
    }
}
