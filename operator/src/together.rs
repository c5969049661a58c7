//! One question for many: what is asked while an answer is on its way is asked together, once it has come. The more ask,
//! the less each of them costs.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Mutex, PoisonError},
};

use tokio::sync::oneshot::{self, error::TryRecvError};

/// Questions of one kind that wait for their turn.
pub struct Together<Question, Answer> {
    waiting: Mutex<VecDeque<(Question, oneshot::Sender<Answer>)>>,
    turn: tokio::sync::Mutex<()>,
    most: usize,
}

impl<Question: Clone, Answer> Together<Question, Answer> {
    /// Nobody asks yet; at most `most` will be asked at once.
    pub fn new(most: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            most,
        }
    }

    /// Asks. `all` answers questions in their order; one of those who wait calls it for everybody. When it failed, or
    /// has no answer to this one among others, it is asked again, alone, so that nobody fails of a neighbour. None when
    /// it has no answer then either.
    pub async fn ask<Answers, E>(
        &self,
        question: Question,
        all: impl Fn(Vec<Question>) -> Answers,
    ) -> Result<Option<Answer>, E>
    where
        Answers: Future<Output = Result<Vec<Option<Answer>>, E>>,
    {
        match self.ask_among_others(question.clone(), &all).await {
            Some(answer) => Ok(Some(answer)),
            None => Ok(all(vec![question]).await?.pop().flatten()),
        }
    }

    async fn ask_among_others<Answers, E>(
        &self,
        question: Question,
        all: impl Fn(Vec<Question>) -> Answers,
    ) -> Option<Answer>
    where
        Answers: Future<Output = Result<Vec<Option<Answer>>, E>>,
    {
        let (tell, mut told) = oneshot::channel();
        self.lock().push_back((question, tell));
        let _turn = tokio::select! {
            biased;
            answer = &mut told => return answer.ok(),
            turn = self.turn.lock() => turn,
        };
        loop {
            match told.try_recv() {
                Ok(answer) => return Some(answer),
                Err(TryRecvError::Closed) => return None,
                Err(TryRecvError::Empty) => {}
            }
            let taken: Vec<_> = {
                let mut waiting = self.lock();
                let count = waiting.len().min(self.most);
                waiting.drain(..count).collect()
            };
            let (questions, tell): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
            // Who is not told hears that it was dropped.
            for (tell, answer) in tell
                .into_iter()
                .zip(all(questions).await.unwrap_or_default())
            {
                if let Some(answer) = answer {
                    // Somebody who does not wait any more needs no answer.
                    let _ = tell.send(answer);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Question, oneshot::Sender<Answer>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures::{FutureExt as _, future::join_all};

    use super::*;

    /// Answers with twice the number, slowly, and counts how often it was asked. Fails of 13, has no answer to 7.
    async fn double(calls: &AtomicUsize, numbers: Vec<u32>) -> Result<Vec<Option<u32>>, ()> {
        calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        if numbers.contains(&13) {
            return Err(());
        }
        let answer = |n: &u32| (*n != 7).then_some(n * 2);
        Ok(numbers.iter().map(answer).collect())
    }

    #[tokio::test]
    async fn who_asks_meanwhile_is_answered_together() {
        let (together, calls) = (Together::new(40), AtomicUsize::new(0));
        let ask = |n| together.ask(n, |numbers| double(&calls, numbers));
        let answers = join_all((20..120).map(ask)).await;
        let expected: Vec<_> = (20..120).map(|n| Ok(Some(n * 2))).collect();
        assert_eq!(answers, expected);
        // The first asks alone, since nobody else is there yet; then two rounds of forty, and the rest.
        assert_eq!(calls.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_nobody_else() {
        let (together, calls) = (Together::new(2), AtomicUsize::new(0));
        let ask = |n| together.ask(n, |numbers| double(&calls, numbers));
        let answers = join_all([1, 13, 7, 2].map(ask)).await;
        assert_eq!(answers, [Ok(Some(2)), Err(()), Ok(None), Ok(Some(4))]);
        assert_eq!(ask(3).await, Ok(Some(6)));
    }

    #[tokio::test]
    async fn who_is_cut_off_while_it_asks_for_others_leaves_them_no_worse_than_alone() {
        let (together, calls) = (Together::new(2), AtomicUsize::new(0));
        let ask = |n| together.ask(n, |numbers| double(&calls, numbers));
        let mut first = Box::pin(ask(1));
        let mut second = Box::pin(ask(2));
        let mut third = Box::pin(ask(3));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(first);
        // The first had taken its own question only.
        assert_eq!((second.await, third.await), (Ok(Some(4)), Ok(Some(6))));
    }
}
