//! A module's back end: an HTTP/1.1 server that keeps what it was sent and answers as a test says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A call as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path and query.
    pub target: String,
    /// `X-Septem-Signature`.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    pub location: Option<String>,
    pub delay: Duration,
}

impl Response {
    /// JSON.
    pub fn json(status: u16, body: serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string(),
            location: None,
            delay: Duration::ZERO,
        }
    }

    /// Nothing but a status.
    pub fn empty(status: u16) -> Self {
        Self {
            body: String::new(),
            ..Self::json(status, serde_json::Value::Null)
        }
    }
}

type Answer = Arc<dyn Fn(&Received) -> Response + Send + Sync>;

/// Ends with its last handle.
pub struct Receiver {
    /// `http://127.0.0.1:<port>/`.
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// On a port of its own.
    pub async fn start(answer: impl Fn(&Received) -> Response + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", answer).await
    }

    /// On this address: one that was there before comes back.
    pub async fn listen(
        address: &str,
        answer: impl Fn(&Received) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer): (_, Answer) = (Arc::clone(&received), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        Self {
            url,
            received,
            task,
        }
    }

    /// What has arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one connection until it is closed.
async fn serve(stream: TcpStream, received: Arc<Mutex<Vec<Received>>>, answer: Answer) {
    let mut stream = BufReader::new(stream);
    while let Some(call) = read(&mut stream).await {
        received.lock().unwrap().push(call.clone());
        let response = answer(&call);
        tokio::time::sleep(response.delay).await;
        let location = response.location.map(|to| format!("location: {to}\r\n"));
        let text = format!(
            "HTTP/1.1 {} X\r\ncontent-type: {}\r\ncontent-length: {}\r\n{}\r\n{}",
            response.status,
            response.content_type,
            response.body.len(),
            location.unwrap_or_default(),
            response.body
        );
        if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let (mut target, mut signature, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("x-septem-signature") => {
                value.clone_into(&mut signature);
            }
            Some(_) => {}
            None => line.split(' ').nth(1)?.clone_into(&mut target),
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received {
        target,
        signature,
        body,
    })
}
