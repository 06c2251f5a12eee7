//! Asks a backend for everything it advertises.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use vmcp_model::{InvalidMirror, Item, Kind, LeftOut, Mirror, Offer, raw, raw::Members};

use crate::{
    backend::Backend,
    conduct::Oddity,
    discovery::{METHOD_NOT_FOUND, Refusal, check_complete},
    error::Error,
    freshness::Freshness,
    health::Sign,
    session::Session,
};
use pages::{Next, Pages, Room};

mod pages;

/// What a backend advertises, and for how long that may be taken for true.
#[derive(Debug, Clone)]
pub struct Advertised {
    pub offer: Offer,
    /// The lists that could not be read, which are empty in the offer, and why.
    failed: Vec<(Kind, Error)>,
    /// In the order of [`Kind::ALL`], counted from `read`.
    lists: [Freshness; Kind::ALL.len()],
    pub read: Instant,
}

/// One list as it was read.
#[derive(Debug, Clone)]
struct List {
    items: Vec<Item>,
    left_out: Vec<LeftOut>,
    /// Counted from `read`.
    freshness: Freshness,
    read: Instant,
}

impl Advertised {
    /// For how long a list may be taken for true, counted from when all was read.
    pub fn freshness(&self, kind: Kind) -> Freshness {
        self.lists[kind as usize]
    }

    /// What the backend offers, as far as is known: of lists that could not be read, what was offered
    /// before.
    pub fn completed(mut self, before: Option<&Offer>) -> Offer {
        let Some(before) = before else { return self.offer };
        for (kind, _why) in self.failed {
            *self.offer.items_mut(kind) = before.items(kind).to_vec();
            let left_out = before.left_out.iter().filter(|item| item.of == Some(kind));
            self.offer.left_out.extend(left_out.cloned());
        }
        self.offer
    }

    /// Which lists could not be read, and why. `None` if all could.
    pub fn problem(&self) -> Option<String> {
        let each = self.failed.iter().map(|(kind, why)| format!("{}: {why}", kind.list_method()));
        let each: Vec<_> = each.collect();
        (!each.is_empty()).then(|| each.join("; "))
    }
}

/// How long a list is waited for that the backend does not declare.
const UNDECLARED: Duration = Duration::from_secs(2);

/// How long the other lists are waited for before those are used that have been read.
const EARLY: Duration = Duration::from_secs(1);

/// What came of reading a list, in the order of [`Kind::ALL`]. `None` if it is not known yet.
type Lists = [Option<Result<List, Error>>; Kind::ALL.len()];

/// Whether a list is there that can be used.
fn is_read(list: Option<&Result<List, Error>>) -> bool {
    matches!(list, Some(Ok(list)) if !list.items.is_empty())
}

fn has(session: &Session, kind: Kind) -> bool {
    let has = session.facts().has;
    match kind {
        Kind::Tool => has.tools,
        Kind::Resource | Kind::ResourceTemplate => has.resources,
        Kind::Prompt => has.prompts,
    }
}

/// The capabilities with the one that has this list.
fn declaring(capabilities: &Bytes, kind: Kind) -> Bytes {
    let name = match kind {
        Kind::Tool => "tools",
        Kind::Resource | Kind::ResourceTemplate => "resources",
        Kind::Prompt => "prompts",
    };
    match Members::parse(capabilities) {
        Some(members) if members.span(name).is_none() => {
            raw::splice(capabilities, vec![members.set(name, &b"{}"[..])])
        }
        Some(_) | None => capabilities.clone(),
    }
}

/// What the lists come to.
fn advertised(session: &Session, read: Lists) -> Result<Advertised, Error> {
    let facts = session.facts();
    let (now, mut failed) = (Instant::now(), Vec::new());
    let mut lists = [Freshness::default(); Kind::ALL.len()];
    let mut offer = Offer {
        capabilities: facts.capabilities.clone(),
        instructions: facts.instructions.clone(),
        left_out: facts.left_out.clone(),
        ..Offer::default()
    };
    for (kind, list) in Kind::ALL.into_iter().zip(read) {
        match list {
            Some(Ok(list)) => {
                lists[kind as usize] = list.freshness.after(now.duration_since(list.read));
                if !list.items.is_empty() && !has(session, kind) {
                    offer.capabilities = declaring(&offer.capabilities, kind);
                }
                *offer.items_mut(kind) = list.items;
                offer.left_out.extend(list.left_out);
            }
            // It is not about the list.
            Some(Err(error)) if error.sent_nothing() || matches!(error, Error::SessionLost) => {
                return Err(error);
            }
            Some(Err(error)) => failed.push((kind, error)),
            None => {}
        }
    }
    let present = Kind::ALL.into_iter().filter(|kind| has(session, *kind)).count();
    if failed.len() == present
        && let Some((_kind, error)) = failed.pop()
    {
        return Err(error);
    }
    Ok(Advertised { offer, failed, lists, read: now })
}

impl Backend {
    /// Reads every list of the backend, page by page. A list that cannot be read is empty in the offer,
    /// and the others are none the worse. An item that cannot be used is left out, and logged.
    ///
    /// # Errors
    /// If no list can be read that the backend has, or the session is no good.
    pub async fn offer(self: &Arc<Self>, session: &Session) -> Result<Advertised, Error> {
        self.offer_early(session, |_early| {}).await
    }

    /// The same for whoever can use some lists before the others: `early` is given those, once, if others
    /// take long. To it, these are lists that could not be read.
    pub async fn offer_early(
        self: &Arc<Self>,
        session: &Session,
        early: impl FnOnce(Advertised),
    ) -> Result<Advertised, Error> {
        let mut reading = JoinSet::new();
        let room = Room::new(self.limits().list_bytes);
        for kind in Kind::ALL {
            let (backend, session) = (Arc::clone(self), session.clone());
            let (present, pages) = (has(&session, kind), Pages::new(kind, room.clone()));
            reading
                .spawn(async move { (kind, backend.list(&session, kind, present, pages).await) });
        }
        let mut lists = [const { None }; Kind::ALL.len()];
        let mut early = Some(early);
        loop {
            let next = match &early {
                Some(_) if lists.iter().any(|list| is_read(list.as_ref())) => {
                    timeout(EARLY, reading.join_next()).await
                }
                Some(_) | None => Ok(reading.join_next().await),
            };
            match next {
                Ok(Some(Ok((kind, list)))) => lists[kind as usize] = Some(list),
                Ok(Some(Err(failed))) => return Err(Error::Protocol(failed.to_string())),
                Ok(None) => return advertised(session, lists),
                Err(_elapsed) => {
                    let so_far = lists.clone().map(|list| {
                        list.or(Some(Err(Error::Protocol("it is still being read".to_owned()))))
                    });
                    if let (Some(early), Ok(so_far)) = (early.take(), advertised(session, so_far)) {
                        early(so_far);
                    }
                }
            }
        }
    }

    /// Reads one list, unless it was too much lately.
    async fn list(
        self: &Arc<Self>,
        session: &Session,
        kind: Kind,
        present: bool,
        pages: Pages,
    ) -> Result<List, Error> {
        if !present {
            let undeclared = self.undeclared(session, kind, pages).await;
            // What says that there is none is what the backend says about itself.
            return Ok(undeclared.unwrap_or_else(|| List::empty(session.facts().freshness)));
        }
        self.excess.check(kind)?;
        let read = self.pages(session, kind, pages, Some(Sign::Own)).await;
        self.excess.note(kind, read.as_ref().err());
        read
    }

    /// Reads a list of a backend that declares none at all, which some forget to do. That there is
    /// nothing is found out once, and no fault of the backend's.
    async fn undeclared(
        self: &Arc<Self>,
        session: &Session,
        kind: Kind,
        pages: Pages,
    ) -> Option<List> {
        if Kind::ALL.into_iter().any(|kind| has(session, kind)) || self.conduct.lacks(kind) {
            return None;
        }
        let reading = timeout(UNDECLARED, self.pages(session, kind, pages, None));
        let list = reading.await.ok().and_then(Result::ok).filter(|list| !list.items.is_empty());
        match &list {
            None => self.conduct.note_lack(kind),
            Some(_) => {
                if self.conduct.is_news(Oddity::Undeclared) {
                    tracing::warn!(backend = %self.id(), list = kind.list_method().name(), "the backend offers what its capabilities do not declare");
                }
            }
        }
        list
    }

    /// Reads one list, page by page; `sign` is what its requests say of the backend's health.
    async fn pages(
        self: &Arc<Self>,
        session: &Session,
        kind: Kind,
        mut pages: Pages,
        sign: Option<Sign>,
    ) -> Result<List, Error> {
        let mut list = List::empty(Freshness::default());
        let mut cursor: Option<Bytes> = None;
        for number in 0..self.limits().list_pages {
            let params =
                cursor.as_ref().map(|cursor| [br#"{"cursor":"#, &cursor[..], b"}"].concat());
            let asked = self.ask_as(session, kind.list_method(), params.as_deref(), sign);
            let message = match asked.await {
                // Some servers answer a method that they do not know as if they did not know the session.
                Err(Error::SessionLost) if Box::pin(self.check(session)).await.is_ok() => {
                    return Err(Error::refused(404));
                }
                message => message?,
            };
            let Some(result) = message.result_span() else {
                let refusal = Refusal::of(message.text());
                if refusal == Some(METHOD_NOT_FOUND) {
                    // It has none, whatever it says about itself.
                    return Ok(List { freshness: Freshness::default(), ..list });
                }
                let answer = self.secrets().excerpt(message.text());
                let why = format!("refused {}: {answer}", kind.list_method());
                return Err(Error::Protocol(why));
            };
            pages.hold(message.text().len())?;
            let result = message.slice(&result);
            if session.is_stateless() {
                check_complete(kind.list_method(), &result, self.secrets())?;
                list.note(number == 0, Freshness::of_result(&result));
            }
            let (before, mut page) = (list.left_out.len(), Vec::new());
            let next = list.take_page(session, kind, &result, &mut page)?;
            let (held, came) = (list.items.len(), page.len());
            let next = pages.add(&mut list.items, page, next);
            if came > 0 && list.items.len() == held {
                // It has been there before.
                list.left_out.truncate(before);
            }
            let most = self.limits().list_items;
            if list.items.len() + list.left_out.len() > most {
                return Err(Error::Excessive(format!("lists more than {most} {}s", kind.noun())));
            }
            match next {
                Next::Page(next) => cursor = Some(next),
                Next::End => {
                    return Ok(list.kept(pages));
                }
                Next::Circle => {
                    if self.conduct.is_news(Oddity::Circle) {
                        let (backend, list) = (self.id(), kind.list_method().name());
                        tracing::warn!(%backend, list, "the backend's cursors lead nowhere: to what it has listed already, or to one empty page after the other; what came before is taken for all");
                    }
                    return Ok(list.kept(pages));
                }
            }
        }
        Err(Error::Excessive(format!("{} has too many pages", kind.list_method())))
    }
}

impl List {
    fn empty(freshness: Freshness) -> Self {
        Self { items: Vec::new(), left_out: Vec::new(), freshness, read: Instant::now() }
    }

    /// Takes the items of one page and gives the cursor of the next (JSON text). What nobody can use is
    /// noted at once.
    fn take_page(
        &mut self,
        session: &Session,
        kind: Kind,
        result: &Bytes,
        page: &mut Vec<Item>,
    ) -> Result<Option<Bytes>, Error> {
        let shape =
            || Error::Protocol(format!("answered {} with the wrong shape", kind.list_method()));
        let members = Members::parse(result).ok_or_else(shape)?;
        let list =
            members.span(kind.list_member()).map(|span| result.slice(span)).ok_or_else(shape)?;
        let side = session.version().era();
        for span in raw::elements(&list).ok_or_else(shape)? {
            let json = list.slice(span);
            match Item::parse(kind, side, json.clone()) {
                // A tool of a modern backend that cannot be called as the specification demands is
                // not offered (2026-07-28, basic/transports/streamable-http, "Custom Headers from
                // Tool Parameters"). What others say in this way means nothing.
                Ok(item) => match mirrors(session, kind, &item) {
                    Ok(()) => page.push(item),
                    Err(why) => self.left_out.push(LeftOut::new(Some(kind), item.key(), &why)),
                },
                Err(why) => {
                    let index = self.items.len() + page.len() + self.left_out.len();
                    self.left_out.push(LeftOut::of_list(kind, index, &json, &why));
                }
            }
        }
        let next = members.span("nextCursor").map(|span| result.slice(span));
        Ok(next.filter(|next| next.first() == Some(&b'"')))
    }

    /// The list, which is used and holds no page that it was read from.
    fn kept(mut self, pages: Pages) -> Self {
        Item::gather(&mut self.items);
        pages.keep();
        self
    }

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
