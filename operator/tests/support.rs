//! A world of its own for a test: database, namespace, Secrets, DataPlane, and an operator that serves only them.

pub mod cluster;
pub mod collector;
pub mod engine;
pub mod relay;
pub mod script;
pub mod world;

pub use cluster::{condition, reason, status_of};
pub use world::{World, in_world, in_world_prepared};
