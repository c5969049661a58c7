//! Keys that are being worked on in this process, so that who comes second waits here and not on a connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::key::Name;

/// Most keys under way in this process: more than the connections and their queue take together.
const KEYS_MAX: usize = 1_024;
/// Most who wait for one key: a client that sends more than this at once is not waiting for an answer.
const WAITING_MAX: usize = 128;

/// The keys under way.
#[derive(Debug, Clone, Default)]
pub struct Flights {
    keys: Arc<Mutex<HashMap<Name, Arc<Semaphore>>>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum NoPlace {
    /// The first was still running at the deadline, or too many wait for it.
    Running,
    /// Too many keys.
    Full,
}

/// The place of who works on a key; free for the next when it is dropped.
#[derive(Debug)]
pub(in crate::data) struct Place {
    /// Whether somebody else had it first.
    pub waited: bool,
    permit: Option<OwnedSemaphorePermit>,
    _seat: Seat,
}

/// Keeps a key's entry for as long as somebody works on it or waits.
#[derive(Debug)]
struct Seat {
    flights: Flights,
    name: Name,
    turns: Option<Arc<Semaphore>>,
}

impl Flights {
    /// Waits, first come first served, until nobody works on the key. Safe to drop.
    pub(in crate::data) async fn enter(
        &self,
        name: &Name,
        deadline: Instant,
    ) -> Result<Place, NoPlace> {
        let (seat, turns) = self.sit(name)?;
        if let Ok(permit) = Arc::clone(&turns).try_acquire_owned() {
            return Ok(Place {
                waited: false,
                permit: Some(permit),
                _seat: seat,
            });
        }
        match tokio::time::timeout_at(deadline, turns.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place {
                waited: true,
                permit: Some(permit),
                _seat: seat,
            }),
            _ => Err(NoPlace::Running),
        }
    }

    fn sit(&self, name: &Name) -> Result<(Seat, Arc<Semaphore>), NoPlace> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX && !keys.contains_key(name) {
            return Err(NoPlace::Full);
        }
        let turns = keys
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(1)));
        // Each who works or waits holds two: its seat's, and the permit's or the wait's.
        if Arc::strong_count(turns) > 1 + 2 * WAITING_MAX {
            return Err(NoPlace::Running);
        }
        let seat = Seat {
            flights: self.clone(),
            name: name.clone(),
            turns: Some(Arc::clone(turns)),
        };
        Ok((seat, Arc::clone(turns)))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.keys.lock().unwrap().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Before the seat, which then sees whether anybody is left.
        self.permit = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut keys = self
            .flights
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.turns = None;
        // Others are counted in only under this lock.
        if keys
            .get(&self.name)
            .is_some_and(|t| Arc::strong_count(t) == 1)
        {
            keys.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0a";

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[tokio::test]
    async fn one_works_and_the_others_wait() {
        let flights = Flights::default();
        let (k, other) = (Name::of(A, "ada", "k"), Name::of(A, "bob", "k"));
        let first = flights.enter(&k, soon()).await.unwrap();
        assert!(!first.waited);
        assert!(!flights.enter(&other, soon()).await.unwrap().waited);
        assert_eq!(
            flights.enter(&k, soon()).await.err(),
            Some(NoPlace::Running)
        );
        let waiter = tokio::spawn({
            let (flights, k) = (flights.clone(), k.clone());
            async move {
                flights
                    .enter(&k, Instant::now() + Duration::from_secs(5))
                    .await
                    .unwrap()
                    .waited
            }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(first);
        assert!(waiter.await.unwrap());
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn keys_and_waiters_are_bounded() {
        let flights = Flights::default();
        let name = |i: usize| Name::of(A, "ada", &i.to_string());
        let mut places = Vec::new();
        for i in 0..KEYS_MAX {
            places.push(flights.enter(&name(i), soon()).await.unwrap());
        }
        assert_eq!(
            flights.enter(&name(KEYS_MAX), soon()).await.err(),
            Some(NoPlace::Full)
        );
        let far = Instant::now() + Duration::from_secs(60);
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let flights = flights.clone();
                tokio::spawn(async move { flights.enter(&name(0), far).await.is_ok() })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        assert_eq!(
            flights.enter(&name(0), far).await.err(),
            Some(NoPlace::Running)
        );
        assert!(started.elapsed() < Duration::from_secs(1));
        places.clear();
        for waiter in waiting {
            assert!(waiter.await.unwrap());
        }
        assert_eq!(flights.len(), 0);
    }
}
