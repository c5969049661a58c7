//! What the API promises and this version does not serve yet: whoever serves it says so here, and the document tells it.

/// Lists as `text/csv` and `application/x-ndjson`.
pub(super) const TABLES_ANSWERED: bool = false;
