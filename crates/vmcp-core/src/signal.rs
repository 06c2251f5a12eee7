//! Tells a call under way that it must end, and why.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;
use vmcp_wire::Fault;

/// Tells a call to end.
#[derive(Debug, Default)]
pub struct Signal {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    told: Told,
    /// Who is polled and found nothing told.
    polled: Option<Waker>,
}

/// What a call was told.
#[derive(Debug, Default)]
enum Told {
    #[default]
    Nothing,
    /// The client has cancelled it: nothing more is delivered.
    Cancelled,
    /// It must end now, for this reason.
    Cut(&'static str),
    /// It cannot come to an end any more.
    Failed(Fault),
}

impl Signal {
    /// The client has cancelled the call.
    pub fn cancel(&self) {
        self.tell(|told| {
            if matches!(told, Told::Nothing) {
                *told = Told::Cancelled;
            }
        });
    }

    /// Whether the client has cancelled the call.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.state().told, Told::Cancelled)
    }

    /// Whether the call was told to end, for whatever reason.
    pub fn has_fired(&self) -> bool {
        !matches!(self.state().told, Told::Nothing)
    }

    /// Why the call is to end, if it was told to.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.state().told.fault()
    }

    /// The call must end now.
    pub fn cut(&self, why: &'static str) {
        self.tell(|told| *told = Told::Cut(why));
    }

    /// The call cannot come to an end any more.
    pub fn fail(&self, fault: Fault) {
        self.tell(|told| *told = Told::Failed(fault));
    }

    /// Waits until the call is to end, and says why. May be asked again and again.
    pub async fn fired(&self) -> Fault {
        loop {
            // Nearly always nothing was told.
            if self.has_fired()
                && let Some(fault) = self.state().told.fault()
            {
                return fault;
            }
            self.wake.notified().await;
        }
    }

    /// The same for one who is polled, at most, beside those who wait.
    pub(crate) fn poll_fired(&self, context: &mut Context<'_>) -> Poll<Fault> {
        let mut state = self.state();
        if let Some(fault) = state.told.fault() {
            return Poll::Ready(fault);
        }
        match &mut state.polled {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    fn tell(&self, how: impl FnOnce(&mut Told)) {
        let polled = {
            let mut state = self.state();
            how(&mut state.told);
            state.polled.take()
        };
        if let Some(waker) = polled {
            waker.wake();
        }
        self.wake.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Nothing => None,
            Self::Cut(why) => Some(Fault::Unavailable((*why).into())),
            Self::Failed(fault) => Some(fault.clone()),
            Self::Cancelled => Some(Fault::Cancelled),
        }
    }
}
