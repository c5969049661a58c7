//! Whether a connection is free, or belongs to one transaction.

use std::future;

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{Failure, Round};

/// Who may send over a connection.
#[derive(Debug)]
pub(super) enum Hold {
    /// Chunks of the queue: the server is outside of every transaction, or each chunk under way ends its own.
    Free,
    /// Nobody, until the server has answered for a transaction. Its further rounds will come this way, if there may be
    /// any.
    Answering(Option<mpsc::Receiver<Round>>),
    /// The one who holds the transaction, until then.
    Waiting {
        rounds: mpsc::Receiver<Round>,
        until: Instant,
    },
}

impl Hold {
    pub fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    /// The next round of the transaction that waits for one; `None` when it has been given up or has waited for too
    /// long. Pending while none waits. Safe to drop.
    pub async fn next_round(&mut self) -> Option<Round> {
        match self {
            Self::Waiting { rounds, until } => timeout_at(*until, rounds.recv()).await.ok()?,
            Self::Free | Self::Answering(_) => future::pending().await,
        }
    }

    /// The way of further rounds, where there is one. Leaves the connection to the answer that is owed.
    pub fn take_rounds(&mut self) -> Option<mpsc::Receiver<Round>> {
        match std::mem::replace(self, Self::Answering(None)) {
            Self::Free => None,
            Self::Answering(rounds) => rounds,
            Self::Waiting { rounds, .. } => Some(rounds),
        }
    }

    /// Ends the way of further rounds; one that is on it learns that it was not sent.
    pub fn close(&mut self) {
        if let Some(mut rounds) = self.take_rounds() {
            rounds.close();
            while let Ok(round) = rounds.try_recv() {
                let _ = round.reply.send(Err(Failure::NotSent));
            }
        }
    }
}
