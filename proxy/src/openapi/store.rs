//! Documents that were asked for lately, in bounded memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use model::Revision;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{
    DOCUMENT_BYTES_MAX,
    access::{Access, Shape},
    document,
};
use crate::{
    caller::Caller,
    problem::{Problem, ProblemKind},
};

/// Most bytes of all documents that are kept: two of the largest that are sent, or very many of the usual size.
pub const STORED_BYTES_MAX: usize = 2 * DOCUMENT_BYTES_MAX;
/// Most documents that are built at once: each holds its text several times over.
const BUILDING_MAX: usize = 2;

/// A document's text and its tag.
pub struct Stored {
    /// The text.
    pub text: Bytes,
    /// The strong tag, quotes included: a digest of the text.
    pub tag: String,
}

/// The documents of the newest revision that was asked for, by shape.
pub struct Documents {
    kept: Mutex<Kept>,
    building: Semaphore,
}

struct Kept {
    revision: Revision,
    by_shape: HashMap<Shape, (u64, Arc<Stored>)>,
    bytes: usize,
    /// Counts uses, to tell which document was used last.
    clock: u64,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                revision: Revision(i64::MIN),
                by_shape: HashMap::new(),
                bytes: 0,
                clock: 0,
            }),
            building: Semaphore::new(BUILDING_MAX),
        }
    }
}

impl Documents {
    /// The document for a caller: as it is kept, or built aside from the threads that serve.
    pub(super) async fn of(&self, caller: &Caller) -> Result<Arc<Stored>, Problem> {
        let (revision, shape) = (caller.catalog.revision, Access::shape(caller));
        if let Some(stored) = self.kept().take_up(revision, &shape) {
            return Ok(stored);
        }
        let _turn = self
            .building
            .acquire()
            .await
            .expect("the semaphore is never closed");
        // Built while this one waited for its turn.
        if let Some(stored) = self.kept().take_up(revision, &shape) {
            return Ok(stored);
        }
        let caller = caller.clone();
        let built = tokio::task::spawn_blocking(move || build(&caller)).await;
        let stored = Arc::new(built.map_err(|_| {
            Problem::new(ProblemKind::Internal, "The description could not be made.")
        })?);
        self.kept().keep(revision, shape, &stored);
        Ok(stored)
    }

    /// How many bytes of documents are kept.
    pub fn bytes(&self) -> usize {
        self.kept().bytes
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(caller: &Caller) -> Stored {
    let text = serde_json::to_vec(&document::build(&Access::of(caller)))
        .expect("a document is plain data");
    let tag = format!("\"{:.32}\"", format!("{:x}", Sha256::digest(&text)));
    Stored {
        text: text.into(),
        tag,
    }
}

impl Kept {
    fn take_up(&mut self, revision: Revision, shape: &Shape) -> Option<Arc<Stored>> {
        if revision != self.revision {
            return None;
        }
        self.clock += 1;
        let (used, stored) = self.by_shape.get_mut(shape)?;
        *used = self.clock;
        Some(Arc::clone(stored))
    }

    /// Keeps a document unless it is of an older revision than others, or larger than all may be together. What was
    /// not used for longest makes room.
    fn keep(&mut self, revision: Revision, shape: Shape, stored: &Arc<Stored>) {
        if revision < self.revision || stored.text.len() > STORED_BYTES_MAX {
            return;
        }
        if revision > self.revision {
            self.by_shape.clear();
            self.bytes = 0;
            self.revision = revision;
        }
        self.clock += 1;
        let replaced = self
            .by_shape
            .insert(shape, (self.clock, Arc::clone(stored)));
        self.bytes += stored.text.len();
        self.bytes -= replaced.map_or(0, |(_, old)| old.text.len());
        while self.bytes > STORED_BYTES_MAX {
            let oldest = self
                .by_shape
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(shape, _)| *shape);
            let Some((_, gone)) = oldest.and_then(|shape| self.by_shape.remove(&shape)) else {
                break;
            };
            self.bytes -= gone.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(megabytes: usize) -> Arc<Stored> {
        Arc::new(Stored {
            text: vec![b' '; megabytes << 20].into(),
            tag: String::new(),
        })
    }

    #[test]
    fn what_was_used_last_stays_within_the_bound() {
        let documents = Documents::default();
        let mut kept = documents.kept();
        for i in 0..3 {
            kept.keep(Revision(1), [i; 32], &document(20));
        }
        assert!(kept.take_up(Revision(1), &[0; 32]).is_some());
        kept.keep(Revision(1), [3; 32], &document(20));
        assert!(kept.bytes <= STORED_BYTES_MAX);
        assert!(kept.take_up(Revision(1), &[0; 32]).is_some());
        assert!(kept.take_up(Revision(1), &[1; 32]).is_none());
        kept.keep(Revision(1), [9; 32], &document(65));
        assert!(kept.take_up(Revision(1), &[9; 32]).is_none());
    }

    #[test]
    fn a_revision_ends_the_documents_of_those_before_it() {
        let documents = Documents::default();
        let mut kept = documents.kept();
        kept.keep(Revision(1), [1; 32], &document(1));
        kept.keep(Revision(2), [2; 32], &document(2));
        assert_eq!((kept.bytes, kept.by_shape.len()), (2 << 20, 1));
        assert!(kept.take_up(Revision(1), &[1; 32]).is_none());
        // Built for a request that was admitted before the new revision came.
        kept.keep(Revision(1), [1; 32], &document(1));
        assert!(kept.take_up(Revision(2), &[1; 32]).is_none());
        assert!(kept.take_up(Revision(2), &[2; 32]).is_some());
    }
}
