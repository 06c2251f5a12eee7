//! A request that goes to a backend, and its answer.

use std::sync::Arc;

use bytes::Bytes;
use vmcp_catalog::Reach;
use vmcp_core::{
    Answering, CallEvent, CallStream, Caller, Granted, Lent, NoticeKind, UnderWay, View, Whole,
};
use vmcp_model::{Era, LogLevel};
use vmcp_wire::Fault;

use crate::{
    modern::{Modern, Reply},
    polled_stream::PolledStream,
    request::Request,
};

/// From this size on an answer counts among what clients have not read, in bytes.
const LARGE: usize = 64 << 10;

impl Modern {
    /// Sends a request to the backend that it belongs to.
    pub(crate) async fn call(
        &self,
        request: &Request<'_>,
        view: &Arc<View>,
    ) -> Result<Reply, Fault> {
        let vmcp = &self.vmcp;
        let id = request.id.key();
        let ticket = vmcp.begin_call(request.message)?;
        let lent = vmcp.lend(view, request.borrower(), request.level);
        if !view.is_settled() {
            // What is not known yet may be known in a moment.
            let found = |catalog: &Arc<_>| {
                let whole = Granted::whole(Arc::clone(catalog));
                let caller = request.caller(view, &whole, &lent);
                let resolved = vmcp.resolve(&caller, request.message);
                resolved.is_ok_and(|resolved| vmcp.is_certain(view, &resolved))
            };
            vmcp.settle(view, found).await;
        }
        let mut granted = self.granted(request, lent.catalog()).await;
        // What is not known may be in a list that is being read.
        if let Some(unread) = lent.unread()
            && vmcp.resolve(&request.caller(view, &granted, &lent), request.message).is_err()
        {
            unread.read().await;
            granted = self.granted(request, lent.catalog()).await;
        }
        let caller = request.caller(view, &granted, &lent);
        let resolved = vmcp.resolve(&caller, request.message);
        let resolved =
            resolved.map_err(|fault| view.explained(&granted, request.message, fault))?;
        (request.client.on_admitted)();
        let call = Arc::clone(ticket.call());
        let answering = vmcp.call(&caller, &resolved, &id, ticket).await;
        let mut stream = match answering.inspect_err(|_fault| note_failed(&lent, &call))? {
            Answering::Stream(stream) => stream,
            Answering::Whole(whole) => {
                answered(&lent).await;
                return self.whole(whole);
            }
            // What passes as it is passes between clients and backends of the legacy era only.
            Answering::Relay(_) => {
                return Err(Fault::Internal("a result was not finished".into()));
            }
        };
        // A response that comes before all else can say in its status what it is.
        match next(&mut stream, request.level, &lent).await? {
            Step::Told(text) => {
                let budget = vmcp.budget();
                Ok(Reply::Call(PolledStream::of_call(
                    stream,
                    text,
                    request.level,
                    id,
                    lent,
                    budget,
                )))
            }
            Step::Answered(whole) => {
                answered(&lent).await;
                self.whole(whole)
            }
        }
    }

    /// An answer that is there as a whole. A large one counts for as long as its client has not read it.
    fn whole(&self, whole: Whole) -> Result<Reply, Fault> {
        let Whole { text, error } = whole;
        let text = match text.len() > LARGE {
            true => self.vmcp.budget().count(text).map_err(|_text| Fault::NotHeld)?,
            false => text,
        };
        Ok(Reply::Whole(Whole { text, error }))
    }
}

impl Request<'_> {
    /// Who calls, as the core takes a caller.
    fn caller<'c>(&'c self, view: &View, granted: &'c Granted, lent: &'c Lent) -> Caller<'c> {
        Caller {
            identity: self.client.identity,
            catalog: granted.catalog(),
            whole: &granted.whole,
            grant: granted.grant.as_deref(),
            reach: Reach::Listed,
            era: Era::Modern,
            log_level: self.level,
            parameters: &self.parameters,
            capabilities: view.capabilities(),
            sessions: lent,
        }
    }
}

/// Notes that a request has been answered. Lists that have changed in the call are read before the client
/// learns of it: what it does next relies on them.
pub(crate) async fn answered(lent: &Lent) {
    lent.answered();
    if let Some(unread) = lent.unread() {
        unread.read().await;
    }
}

/// Notes that a call has failed, which its backend knows; unless it was told to end here: then the backend
/// works on, and is told that nobody waits.
fn note_failed(lent: &Lent, call: &UnderWay) {
    if !call.has_fired() {
        lent.failed();
    }
}

/// What a call's stream brings its client next.
pub(crate) enum Step {
    /// A notification.
    Told(Bytes),
    Answered(Whole),
}

/// The next that a call brings its client. After an answer or an error there is nothing more.
pub(crate) async fn next(
    call: &mut CallStream,
    level: Option<LogLevel>,
    lent: &Lent,
) -> Result<Step, Fault> {
    loop {
        let under_way = Arc::clone(call.call());
        let event = call.next().await.inspect_err(|_fault| note_failed(lent, &under_way))?;
        match event {
            CallEvent::Notice(notice) => {
                let wanted = match &notice.kind {
                    NoticeKind::Log(_) => level.is_some() && notice.passes(level),
                    // Not about this request.
                    NoticeKind::ResourceUpdated(_)
                    | NoticeKind::Withdrawn(_)
                    | NoticeKind::Completed(_) => false,
                    NoticeKind::Other => true,
                };
                if wanted {
                    return Ok(Step::Told(notice.text));
                }
            }
            CallEvent::ListChanged => lent.note_lists_changed(call.backend()),
            CallEvent::Asks(question) => {
                if let Some(fault) = lent.asked(call.asks_itself(), question) {
                    call.note_failure(&fault);
                    return Err(fault);
                }
            }
            CallEvent::Answered(whole) => {
                lent.answered();
                return Ok(Step::Answered(whole));
            }
        }
    }
}
