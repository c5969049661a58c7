//! Helpers of the whole-system tests: the running stack, its API, its resources and what its stores hold.

pub mod api;
pub mod command;
pub mod front;
pub mod helm;
pub mod history;
pub mod kubectl;
pub mod parts;
pub mod scene;
pub mod stack;
pub mod truth;
pub mod wait;

pub use api::{Answer, Api, NoAnswer};
pub use scene::Scene;
pub use stack::Stack;
