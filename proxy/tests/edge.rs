//! The edge over real sockets: framing, tokens, permissions, cache, schema, faults, the end of the process.

mod cached;
mod client;
mod exports;
mod faults;
mod framing;
mod instructions;
mod reach;
mod repeated;
mod revisions;
mod road;
mod world;
