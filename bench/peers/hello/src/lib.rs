//! What both endpoints have in common.

/// The answer to everything.
pub const BODY: &[u8] = b"hello";

/// The port that the command line names.
pub fn port() -> u16 {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    port.expect("the argument is a port")
}

/// A thread for each core, as the proxy has unless it is told otherwise.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
