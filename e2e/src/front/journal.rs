//! What ran: the newest queries for `system.query_log`, and who runs which query now.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Finished queries that are kept.
const ENTRIES_MAX: usize = 5_000;
/// Characters of a query's text that are kept.
const QUERY_CHARS_MAX: usize = 4_000;

/// One finished query, with the columns of `system.query_log` that the front knows.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// `QueryFinish` or `ExceptionBeforeStart`.
    pub r#type: &'static str,
    /// When the answer began.
    pub event_time: String,
    /// From the request to the answer's beginning.
    pub query_duration_ms: u64,
    /// The id.
    pub query_id: String,
    /// The text.
    pub query: String,
    /// Who.
    pub user: String,
    /// `role=`.
    pub roles: Vec<String>,
    /// From the request.
    pub log_comment: String,
    /// ClickHouse's number, 0 if all went well.
    pub exception_code: u32,
    /// From the engine's summary, as far as the answer's head tells.
    pub read_rows: u64,
    /// Like it.
    pub read_bytes: u64,
    /// The status.
    pub http_status: u16,
}

/// The newest entries and what runs.
#[derive(Default)]
pub struct Journal {
    entries: Mutex<VecDeque<Entry>>,
    running: Mutex<HashMap<String, String>>,
}

impl Journal {
    /// Notes who runs a query until the guard is dropped.
    pub fn begin<'a>(&'a self, query_id: &str, user: &str) -> Running<'a> {
        self.lock(&self.running)
            .insert(query_id.to_owned(), user.to_owned());
        Running {
            journal: self,
            query_id: query_id.to_owned(),
        }
    }

    /// Whether a user runs this query.
    pub fn runs(&self, query_id: &str, user: &str) -> bool {
        self.lock(&self.running)
            .get(query_id)
            .is_some_and(|u| u == user)
    }

    /// Adds an entry.
    pub fn note(&self, mut entry: Entry) {
        entry.query = entry.query.chars().take(QUERY_CHARS_MAX).collect();
        let mut entries = self.lock(&self.entries);
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// All entries, the oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock(&self.entries).iter().cloned().collect()
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        mutex
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

/// A query that runs.
pub struct Running<'a> {
    journal: &'a Journal,
    query_id: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.journal
            .lock(&self.journal.running)
            .remove(&self.query_id);
    }
}

/// A time as ClickHouse reads it.
pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}
