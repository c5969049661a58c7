//! The sink against the real Kafka, ClickHouse and PostgreSQL of the local stack.
//!
//! Records are written in the shapes that Debezium writes, so that each test decides what arrives and when. Rows
//! that went through PostgreSQL and Debezium are the concern of crate `e2e`.

// Helpers of tests may unwrap as tests do; the lint sees only the latter.
#![allow(clippy::unwrap_used)]

mod support {
    pub mod events;
    pub mod gate;
    #[path = "../../../tests/support/receiver.rs"]
    pub mod receiver;
    pub mod running;
    pub mod stack;
}

mod cases {
    mod catalog;
    mod freshness;
    mod hooks;
    mod order;
    mod revisions;
    mod trouble;
    mod values;
}
