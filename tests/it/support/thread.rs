//! A server on a thread of its own, which ends with its fixture.

use std::{net::SocketAddr, sync::mpsc, thread};

use tokio::sync::oneshot;

/// A running server. Dropping it stops the server, and fails the test if it
/// panicked.
pub struct Server {
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Runs what `start` makes of a signal to stop, once it told its address.
    pub fn start<S, F>(start: S) -> Self
    where
        S: FnOnce(mpsc::Sender<SocketAddr>, oneshot::Receiver<()>) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(start(tell, stopped));
        });
        Self {
            addr: told.recv().expect("the server starts"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Tells the server to stop.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let panicked = self.thread.take().unwrap().join().is_err();
        assert!(!panicked || thread::panicking(), "a server panicked");
    }
}
