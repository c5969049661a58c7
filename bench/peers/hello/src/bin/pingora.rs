//! pingora alone, with the runtime that the proxy has and in the place where the proxy answers. `pingora PORT`.

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{
    Error, ErrorType,
    http::ResponseHeader,
    prelude::HttpPeer,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Hello;

#[async_trait]
impl ProxyHttp for Hello {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "every request is answered here")
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        let mut head = ResponseHeader::build(200, Some(1))?;
        head.insert_header("content-length", hello::BODY.len())?;
        session.write_response_header(Box::new(head), false).await?;
        session.write_response_body(Some(Bytes::from_static(hello::BODY)), true).await?;
        Ok(true)
    }
}

fn main() {
    let conf = ServerConf {
        threads: hello::threads(),
        work_stealing: false,
        // It waits five minutes for requests to end unless told otherwise, and is killed before.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Hello);
    service.add_tcp(&format!("127.0.0.1:{}", hello::port()));
    server.add_service(service);
    server.run_forever();
}
