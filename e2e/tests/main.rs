//! Whole-system tests: `kubectl` and HTTP against the running stack of `make up`, everything real.
//!
//! Each test has a namespace, a module and tenants of its own (`e2e::Scene`) and removes them at its end.

mod canary;
mod chart;
mod convergence;
mod erasure;
mod faults;
mod freshness;
mod front_fence;
mod front_policies;
mod mistakes;
mod modules;
mod on_delete;
mod openapi;
mod refusals;
mod road;
mod sensitive;
mod tenants;
mod unkept;
mod values;
