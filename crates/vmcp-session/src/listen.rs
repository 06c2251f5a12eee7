//! Listens to the backends' own streams while the client wants to hear from them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Backend, Error, Lineage, Reopening, Session as BackendSession};
use vmcp_catalog::Route;
use vmcp_core::{BackendSessions as _, Inbound, Notice, NoticeKind};
use vmcp_model::{BackendId, Method};
use vmcp_wire::Message;

use crate::{activity::Activity, completions::Awaited, session::Session};

/// How long before a stream is opened again a call may have changed lists that nobody has read since.
const BEFORE: Duration = Duration::from_secs(30);

/// How long the first call on a backend session waits for its stream, for a backend that does not
/// begin to answer before it has something to say.
const BEGIN: Duration = Duration::from_millis(500);

/// The listening of one session.
#[derive(Debug)]
pub(crate) struct Listening {
    stop: CancellationToken,
    /// The client wants to hear from all backends. Otherwise only those are listened to of which it is
    /// needed.
    wanted: bool,
    /// The backend sessions that are listened to, or offer nothing to listen to.
    followed: HashMap<(BackendId, Lineage), Followed>,
    /// Wakes whoever waits before a stream that ended is opened again.
    again: Arc<Notify>,
    /// When a call has ended last.
    pub(crate) called: Option<Instant>,
}

/// The listening to one backend session.
#[derive(Debug)]
struct Followed {
    backend: Arc<Backend>,
    id: Option<Box<str>>,
    stop: CancellationToken,
}

impl Listening {
    fn new(stop: CancellationToken) -> Self {
        let (wanted, followed) = (false, HashMap::new());
        Self { stop, wanted, followed, again: Arc::default(), called: None }
    }

    /// Notes that a backend session is listened to, and gives what ends that and what calls it back
    /// to work. `None` if it is listened to already.
    fn enter(
        &mut self,
        backend: &Arc<Backend>,
        open: &BackendSession,
    ) -> Option<(CancellationToken, Arc<Notify>)> {
        let id = open.id().map(Box::<str>::from);
        let key = (backend.id().clone(), backend.lineage());
        if self.followed.get(&key).is_some_and(|before| before.id == id) {
            return None;
        }
        let stop = self.stop.child_token();
        // Whoever listens to a link keeps it from ending.
        let followed = Followed { backend: Arc::clone(backend), id, stop: stop.clone() };
        if let Some(before) = self.followed.insert(key, followed) {
            before.stop.cancel();
        }
        Some((stop, Arc::clone(&self.again)))
    }

    /// Listens on only to those backends of which it is needed. `false` if there is none.
    fn keep_needed(&mut self, awaited: &VecDeque<Awaited>) -> bool {
        self.wanted = false;
        let is_left = |followed: &Followed| !is_needed(&followed.backend, awaited);
        for (_, left) in self.followed.extract_if(|_, followed| is_left(followed)) {
            left.stop.cancel();
        }
        !self.followed.is_empty()
    }

    fn has(&self, backend: &Backend) -> bool {
        self.followed.contains_key(&(backend.id().clone(), backend.lineage()))
    }

    /// Stops to listen to a backend. `false` if it was not listened to.
    fn leave(&mut self, backend: &Backend) -> bool {
        let left = self.followed.remove(&(backend.id().clone(), backend.lineage()));
        left.map(|followed| followed.stop.cancel()).is_some()
    }
}

impl Session {
    /// Stops to listen to a backend. `false` if it was not listened to.
    pub(crate) fn stop_listening_to(&self, backend: &Backend) -> bool {
        self.with_activity(|activity| {
            activity.listening.as_mut().is_some_and(|listening| listening.leave(backend))
        })
    }

    /// The listening of the session, which begins if there is none.
    fn listening<'a>(&self, activity: &'a mut Activity) -> &'a mut Listening {
        let begin = || Listening::new(self.shared.background.stop().child_token());
        activity.listening.get_or_insert_with(begin)
    }

    /// Whether somebody listens to a backend.
    pub(crate) fn listens_to(&self, backend: &Backend) -> bool {
        self.with_activity(|activity| {
            activity.listening.as_ref().is_some_and(|listening| listening.has(backend))
        })
    }

    /// The same as [`Session::listen_to_backends`], and waits until the streams are open. What a backend
    /// says on them from the next call on must not be lost.
    pub(crate) async fn hear_backends(&self) {
        let begun = self.listen_to_backends();
        // Without a stream in time it goes on: a backend may never offer one.
        let all = async {
            for begun in begun {
                let _closed = begun.await;
            }
        };
        let _late = tokio::time::timeout(BEGIN, all).await;
    }

    /// Begins to listen to every backend session that is open, unless that is done already. The
    /// receivers learn when its streams are open, or that there are none.
    pub(crate) fn listen_to_backends(&self) -> Vec<oneshot::Receiver<()>> {
        // A backend has one stream for a session: two who listen would take it from each other.
        if self.streams_elsewhere() {
            return Vec::new();
        }
        let begun = self.with_activity(|activity| {
            !std::mem::replace(&mut self.listening(activity).wanted, true)
        });
        if !begun {
            return Vec::new();
        }
        let open = self.open_backends().into_iter();
        open.filter_map(|(backend, open)| self.listen_if_wanted(&backend, &open)).collect()
    }

    /// If the session listens at all: begins to listen to what another replica has opened, and tries
    /// at once to open the streams again that have ended.
    pub(crate) fn look_after_streams(&self) {
        let listens = self.with_activity(|activity| {
            let listening = activity.listening.as_ref();
            listening.inspect(|listening| listening.again.notify_waiters()).is_some()
        });
        if listens {
            for (backend, open) in self.open_backends() {
                self.listen_if_wanted(&backend, &open);
            }
        }
    }

    /// Stops listening, unless the client has a stream or a subscription.
    pub(crate) fn stop_listening(&self) {
        let ended = self.is_ended() || self.streams_elsewhere();
        if !ended && !self.subscriptions().is_empty() {
            return;
        }
        let listening = self.with_activity(|activity| {
            // A new stream may have taken the place of the one that has just ended.
            let streams = activity.standalone.as_ref().is_some_and(|log| log.is_attached());
            if streams && !ended {
                return None;
            }
            let Activity { listening, awaited, .. } = activity;
            if !ended && listening.as_mut().is_some_and(|found| found.keep_needed(awaited)) {
                return None;
            }
            activity.listening.take()
        });
        if let Some(listening) = listening {
            listening.stop.cancel();
        }
    }

    /// Listens to a backend session that has just been opened, if the session listens at all. What
    /// the backend says from the first call on must not be lost, so that call waits for it.
    pub(crate) async fn hear(&self, backend: &Arc<Backend>, open: &BackendSession) {
        if let Some(begun) = self.listen_if_wanted(backend, open) {
            // Without a stream in time the call goes ahead: the backend may never offer one.
            let _late = tokio::time::timeout(BEGIN, begun).await;
        }
    }

    /// Listens to a backend session, once, if the session listens at all. The receiver learns when
    /// its stream is open, or that there is none.
    pub(crate) fn listen_if_wanted(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
    ) -> Option<oneshot::Receiver<()>> {
        let (stop, again) = self.with_activity(|activity| {
            if is_needed(backend, &activity.awaited) && !self.streams_elsewhere() {
                return self.listening(activity).enter(backend, open);
            }
            let listening = activity.listening.as_mut().filter(|listening| listening.wanted);
            listening.and_then(|listening| listening.enter(backend, open))
        })?;
        let (begun, beginning) = oneshot::channel();
        let (me, backend, open) = (self.me.clone(), Arc::clone(backend), open.clone());
        self.shared.background.spawn(async move {
            stop.run_until_cancelled(keep_following(me, &backend, &open, begun, &again)).await;
        });
        Some(beginning)
    }

    /// Follows one stream to its end. `false` if the backend offers none. `has_brought` learns that
    /// something came.
    async fn follow(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
        begun: &mut Option<oneshot::Sender<()>>,
        has_brought: &mut bool,
    ) -> Result<bool, Error> {
        let began = Instant::now();
        let Some(mut stream) = backend.listen(open).await? else { return Ok(false) };
        match begun.take() {
            // Nobody may wait for it.
            Some(begun) => _ = begun.send(()),
            // What a call has changed while nobody listened is found by asking.
            None if self.has_called_since(began - BEFORE) => self.read_lists_soon(backend),
            None => {}
        }
        while let Some(message) = stream.next().await? {
            *has_brought = true;
            // A flood of one backend must not push out what others have said to the client.
            if let Some(log) = self.with_activity(|activity| activity.standalone.clone()) {
                log.wait_for_room().await;
            }
            self.receive(backend, open, message).await;
        }
        Ok(true)
    }

    /// Hands a message of a backend's own stream to the client.
    async fn receive(&self, backend: &Arc<Backend>, open: &BackendSession, message: Message) {
        if message.method() == Some(Method::Progress) && !self.is_of_task(&message) {
            backend.note_stray_progress();
            return;
        }
        match vmcp_core::receive(backend, open, self.capabilities, message).await {
            Some(Inbound::Notice(notice)) => {
                if !self.wants(backend, &notice) {
                    return;
                }
                match notice.kind {
                    NoticeKind::Completed(_) => self.tell_completed(&notice.text),
                    _ => self.announce(&notice.text),
                }
            }
            Some(Inbound::Asks(question)) => self.put_on_stream(backend, open, question).await,
            Some(Inbound::ListChanged) => self.note_lists_changed(backend),
            Some(Inbound::Response(_)) | None => {}
        }
    }

    /// Whether a progress is that of a task: it says so, or its token is that of a call that began one.
    fn is_of_task(&self, progress: &Message) -> bool {
        let token = progress.progress_token();
        progress.params().meta.related_task.is_some()
            || token
                .is_some_and(|token| self.with_activity(|activity| activity.knows_token(&token)))
    }

    /// Whether it is known that a resource is not this backend's.
    fn is_of_another(&self, backend: &Backend, uri: &str) -> bool {
        let listed = self.catalog.load().resource(uri).and_then(Route::backend).cloned();
        let owner = listed.or_else(|| self.handed_by(uri));
        owner.is_some_and(|owner| owner != *backend.id())
    }

    /// Whether the client is to get a notification.
    pub(crate) fn wants(&self, backend: &Backend, notice: &Notice) -> bool {
        match &notice.kind {
            NoticeKind::ResourceUpdated(uri) => {
                self.is_subscribed(uri) && !self.is_of_another(backend, uri)
            }
            NoticeKind::Withdrawn(id) => {
                let withdrawn = self.with_activity(|activity| activity.questions.remove(id));
                if withdrawn.is_some() {
                    self.forget_questions([id.clone()]);
                }
                true
            }
            NoticeKind::Completed(id) => self.note_completed(backend, id),
            NoticeKind::Log(_) | NoticeKind::Other => notice.passes(self.log_level()),
        }
    }
}

/// Whether a backend is listened to though its client does not want to hear it: it would end the session
/// if nobody were there, or is to say that something is done.
fn is_needed(backend: &Backend, awaited: &VecDeque<Awaited>) -> bool {
    backend.is_to_be_heard() || awaited.iter().any(|awaited| awaited.is_of(backend))
}

/// Follows a backend's stream for as long as the session is there, again and again.
async fn keep_following(
    me: Weak<Session>,
    backend: &Arc<Backend>,
    open: &BackendSession,
    begun: oneshot::Sender<()>,
    again: &Notify,
) {
    let mut begun = Some(begun);
    let mut reopening = Reopening::default();
    while let Some(session) = me.upgrade() {
        let (began, mut has_brought) = (Instant::now(), false);
        let wait = match session.follow(backend, open, &mut begun, &mut has_brought).await {
            Ok(true) => reopening.ended(began.elapsed(), has_brought),
            // There is none to follow.
            Ok(false) => return,
            Err(Error::SessionLost) => {
                // A client that only waits would never hear that the backend is back. The new
                // session is listened to when it is opened.
                if let Err(error) = session.renew(backend, open).await {
                    tracing::debug!(backend = %backend.id(), %error, "a lost session could not be renewed yet");
                }
                return;
            }
            Err(error) => {
                tracing::debug!(backend = %backend.id(), %error, "a backend's stream ended");
                begun = None;
                reopening.failed(began.elapsed(), has_brought)
            }
        };
        drop(session);
        let _sooner = tokio::time::timeout(wait, again.notified()).await;
    }
}
