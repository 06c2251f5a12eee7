//! Work that goes on when nobody waits for it any more.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A future that is finished by a task of its own if it is dropped before its end.
///
/// A client that goes away does not cancel what it has asked for (specification 2025-11-25,
/// basic/transports, "disconnection"), and the HTTP edge drops whatever it was waiting for.
pub(crate) struct Detaching<'t, F: Future + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    tasks: &'t TaskTracker,
}

impl<'t, F: Future + Send + 'static> Detaching<'t, F> {
    /// `tasks` counts the task. The work comes boxed: it is large, and every hand that it goes
    /// through would copy it.
    pub(crate) fn new(work: Pin<Box<F>>, tasks: &'t TaskTracker) -> Self {
        Self { work: Some(work), tasks }
    }
}

impl<F: Future + Send + 'static> Future for Detaching<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for Detaching<'_, F> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            self.tasks.spawn_on(
                async move {
                    let _nobody_waits = work.await;
                },
                &runtime,
            );
        }
    }
}
