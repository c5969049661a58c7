//! What the API promises and this version does not serve yet: whoever serves it says so here, and the document tells it.

/// `POST …/{id}/restore`.
pub(super) const RESTORE: bool = false;
/// `PATCH` and `DELETE` on the path of a model, for all rows of a filter; `PATCH` of a list by id.
pub(super) const WRITES_OF_MANY: bool = false;
/// Lists as `text/csv` and `application/x-ndjson`.
pub(super) const TABLES_ANSWERED: bool = false;
/// `PATCH` with `application/merge-patch+json`.
pub(super) const MERGE_PATCH: bool = false;
/// The operations `upsert` and `restore` of a batch.
pub(super) const BATCH_UPSERT_AND_RESTORE: bool = false;
