//! Chunks that wait for a connection: many who push, few who pop, and a bound.

use std::{collections::VecDeque, sync::Mutex};

use tokio::sync::Notify;

/// A bounded queue. What is in it has not been sent.
pub(super) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    pushed: Notify,
    capacity: usize,
}

impl<T> Queue<T> {
    pub fn new(capacity: usize) -> Self {
        Self {
            items: Mutex::new(VecDeque::new()),
            pushed: Notify::new(),
            capacity,
        }
    }

    /// Adds an item, or gives it back when the queue is full.
    pub fn push(&self, item: T) -> Result<(), T> {
        {
            let mut items = self.lock();
            if items.len() >= self.capacity {
                return Err(item);
            }
            items.push_back(item);
        }
        self.pushed.notify_one();
        Ok(())
    }

    pub fn pop(&self) -> Option<T> {
        self.lock().pop_front()
    }

    /// Returns when there may be something to pop. Safe to drop.
    pub async fn ready(&self) {
        while self.lock().is_empty() {
            self.pushed.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<T>> {
        self.items
            .lock()
            .expect("nothing panics while it holds the queue")
    }
}
