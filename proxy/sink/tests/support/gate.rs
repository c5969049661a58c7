//! A TCP forwarder that can be shut: ClickHouse away and back, without stopping what other tests use.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct Gate {
    pub address: SocketAddr,
    open: Arc<AtomicBool>,
    shut: watch::Sender<u64>,
}

impl Gate {
    /// Forwards to `target`; shut at first.
    pub async fn new(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(AtomicBool::new(false));
        let (shut, _) = watch::channel(0);
        let (is_open, shut_sender) = (Arc::clone(&open), shut.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if !is_open.load(Ordering::Relaxed) {
                    // Dropped: the client sees its connection reset.
                    continue;
                }
                let (target, mut shut) = (target.clone(), shut_sender.subscribe());
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = shut.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            open,
            shut,
        }
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Cuts what is open and lets nothing through.
    pub fn shut(&self) {
        self.open.store(false, Ordering::Relaxed);
        self.shut.send_modify(|n| *n += 1);
    }
}
