//! The end of a session, and of all of them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{session::Session, sessions::Sessions};

/// How long calls that are cut off have to say so to their clients, and backends to end sessions in a
/// hurry.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the client of a call is told that took longer than the drain allows.
const CUT_OFF: &str = "vmcp is shutting down, and the call was cut off; whether it ran is unknown";

/// How long backends have to end the sessions that end with this process.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sessions that are ended at once.
const ENDING: usize = 64;

impl Session {
    /// Takes the session out of service: its GET stream ends, and no new one begins. What is in
    /// flight goes on.
    pub(crate) fn finish(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.stop_listening();
        let standalone = self.with_activity(|activity| activity.standalone.take());
        if let Some(log) = standalone {
            log.finish();
            log.detach();
        }
    }

    /// Waits until no call is in flight, but no longer than `bound`; then cuts off what is left.
    pub(crate) async fn calm(&self, bound: Duration) {
        let waiting = self.with_activity(|activity| {
            if activity.calls.is_empty() {
                return None;
            }
            let calm: Arc<Notify> = Arc::default();
            activity.calm = Some(Arc::clone(&calm));
            Some(calm)
        });
        let Some(calm) = waiting else { return };
        if tokio::time::timeout(bound, calm.notified()).await.is_err() {
            self.cut("the session has ended, and the call was cut off");
        }
    }

    /// Ends what is in flight, each call with an error.
    fn cut(&self, why: &'static str) {
        self.with_activity(|activity| {
            activity.calls.values().for_each(|call| call.signal.cut(why));
        });
    }
}

impl Sessions {
    /// Begins no more sessions that would end with this process, and ends the GET streams, so that
    /// clients go elsewhere.
    pub fn begin_drain(&self) {
        self.set_draining();
        for session in self.all() {
            session.end_streams();
        }
    }

    /// Whether a new session is refused because this process ends. One that others go on with is made
    /// as long as calls are taken: whoever sends it here does not know yet.
    pub(crate) fn takes_no_session(&self) -> bool {
        if self.shared.store.outlives_process() {
            self.shared.vmcp.calls().is_closed()
        } else {
            self.is_draining()
        }
    }

    /// Waits for what is in flight, for as long as configuration allows or until `hurry` is cancelled,
    /// then cuts it off. Sessions that cannot outlive this process are ended at their backends. Gives how
    /// many calls were cut off.
    pub async fn drain(&self, hurry: &CancellationToken) -> usize {
        let calls = self.shared.vmcp.calls();
        calls.close();
        let deadline = Instant::now() + self.shared.config.drain;
        let in_time = tokio::time::timeout_at(deadline, calls.wait());
        let mut cut_off = 0;
        if !matches!(hurry.run_until_cancelled(in_time).await, Some(Ok(()))) {
            cut_off = calls.count();
            if !hurry.is_cancelled() {
                tracing::warn!(
                    calls = cut_off,
                    "calls took longer than the drain allows and are cut off"
                );
            }
            calls.cut(CUT_OFF);
            let _last_words = tokio::time::timeout(LAST_WORDS, calls.wait()).await;
        }
        let farewell = async {
            if self.shared.store.outlives_process() {
                self.part().await;
            } else if tokio::time::timeout(FAREWELL, self.end_all()).await.is_err() {
                tracing::warn!("not every backend session could be ended in time");
            }
        };
        let hurried = async {
            hurry.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = farewell => {}
            () = hurried => {}
        }
        cut_off
    }

    async fn end_all(&self) {
        let mut ending = tokio::task::JoinSet::new();
        for session in self.all() {
            if ending.len() >= ENDING {
                ending.join_next().await;
            }
            self.drop_live(&session);
            let (shared, key) = (Arc::clone(&self.shared), session.key);
            let end = async move {
                shared.store.end(key, shared.clock.now()).await?;
                shared.close(key, None).await
            };
            ending.spawn(async move {
                if let Err(error) = end.await {
                    tracing::debug!(%error, "a session could not be ended");
                }
            });
        }
        while ending.join_next().await.is_some() {}
    }
}
