//! A port that forwards to another one, and can be closed.

use std::sync::Mutex;

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Forwards while it is open. Closed, the port refuses, and what was connected is cut.
pub struct Relay {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    target: String,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    /// Opens a port of its own in front of `target`, a `host:port`.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            target,
            task: Mutex::default(),
        };
        relay.run(listener);
        relay
    }

    /// Opens the same port again.
    pub async fn open(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.run(listener);
    }

    /// Closes it.
    pub fn close(&self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
    }

    fn run(&self, listener: TcpListener) {
        let target = self.target.clone();
        let task = tokio::spawn(async move {
            // The connections end with the set, which ends with this task.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let target = target.clone();
                connections.spawn(async move {
                    let mut to = TcpStream::connect(target).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        *self.task.lock().unwrap() = Some(task);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
    }
}
