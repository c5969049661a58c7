//! One thread of the public listener: a socket, a runtime, and the connections that were accepted there.
//!
//! A service of the server library with several threads accepts on one and hands connections to any of them, and their
//! readiness is still told by the one that accepted: whoever is handed one is woken by another thread for each request.
//! So each thread is a service with a socket of its own at the same address, and the kernel deals connections out
//! (SO_REUSEPORT, socket(7)).

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::{
    listeners::TcpSocketOptions,
    server::{ListenFds, ShutdownWatch},
    services::listening::Service,
};

use super::front::Front;

/// One of the threads.
pub struct Thread(Service<Front>);

impl Thread {
    /// A thread that will listen at that address.
    pub fn new(front: Front, address: SocketAddr) -> Self {
        let mut service = Service::new("public".to_owned(), front);
        let mut options = TcpSocketOptions::default();
        options.so_reuseport = Some(true);
        service.add_tcp_with_settings(&address.to_string(), options);
        Self(service)
    }
}

#[async_trait]
impl pingora::services::Service for Thread {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        // The library's table has one socket for each address, and would give the same one to every thread.
        self.0.start_service(None, shutdown, listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
