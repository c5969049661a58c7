//! What the query language promises, judged from outside it: each request is compared with plain SQL that was written
//! by hand and is run by a role that no policy binds, with the tenant as an explicit predicate.
//!
//! Nothing here uses the parser or the renderer that it judges. A failed expectation names the request and the SQL.

mod document;
mod generated;
mod kinds;
mod lab;
mod language;
mod limits;
mod models;
mod operators;
mod orders;
mod reads;
mod relations;
mod rows;
mod shapes;
mod walks;
