//! A replica with a runtime and a thread of its own, which can stand still and die.

use std::{
    sync::{Arc, mpsc as blocking},
    thread::JoinHandle,
};

use tokio::sync::mpsc;

use crate::support::Node;

/// It dies when this is dropped, with all that is at work in it.
pub(crate) struct Elsewhere {
    pub(crate) node: Arc<Node>,
    gates: Option<mpsc::Sender<blocking::Receiver<()>>>,
    thread: Option<JoinHandle<()>>,
}

impl Elsewhere {
    /// Starts a replica that is made on its own thread.
    pub(crate) fn start(make: impl FnOnce() -> Node + Send + 'static) -> Self {
        let (told, node) = blocking::channel();
        let (gates, mut coming) = mpsc::channel::<blocking::Receiver<()>>(1);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                told.send(Arc::new(make())).unwrap();
                while let Some(gate) = coming.recv().await {
                    let _opened = gate.recv();
                }
            });
            runtime.shutdown_background();
        });
        let node = node.recv().unwrap();
        Self { node, gates: Some(gates), thread: Some(thread) }
    }

    /// Blocks its thread, until what this gives is dropped. The system goes on to take what is sent to it, as
    /// it does for a process that was stopped.
    pub(crate) fn stand_still(&self) -> blocking::Sender<()> {
        let (gate, closed) = blocking::channel();
        self.gates.as_ref().unwrap().try_send(closed).unwrap();
        gate
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.gates = None;
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}
