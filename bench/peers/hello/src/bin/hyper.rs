//! hyper alone: a thread with a runtime for each core, all accepting on one address. `hyper PORT`.

use std::{convert::Infallible, net::TcpListener};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let port = hello::port();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    let threads = (0..hello::threads()).map(|_| {
        let listener = listener.try_clone().expect("a descriptor is free");
        std::thread::spawn(move || serve(listener))
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().expect("nothing panics");
    }
}

fn serve(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime has a driver");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // As pingora does.
            let _ = stream.set_nodelay(true);
            let answer = |_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(hello::BODY)))) };
            tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
}
