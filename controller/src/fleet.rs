//! Works on many hosts at once, but not on all of a thousand.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many hosts are worked on at the same time.
pub const MOST_HOSTS_AT_ONCE: usize = 32;

/// Runs `work` for every item and gives back the results in the items' order. One that fails or
/// hangs holds up none of the others, except that all are waited for.
pub async fn on_all<T, R, F, W>(items: impl IntoIterator<Item = T>, work: F) -> Vec<R>
where
    F: Fn(T) -> W,
    W: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let permits = Arc::new(Semaphore::new(MOST_HOSTS_AT_ONCE));
    let mut tasks = JoinSet::new();
    for (index, item) in items.into_iter().enumerate() {
        let permits = Arc::clone(&permits);
        let task = work(item);
        tasks.spawn(async move {
            // The semaphore is never closed; a permit is held until the task ends.
            let _permit = permits.acquire_owned().await;
            (index, task.await)
        });
    }
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(result) => results.push(result),
            // A bug in one task is a bug in the program: it must not pass for a host's failure.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn results_come_in_order_and_no_more_than_the_limit_run() {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let results = on_all(0..100_u64, |n| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100 - n)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                n
            }
        })
        .await;
        assert_eq!(results, (0..100).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), MOST_HOSTS_AT_ONCE);
    }
}
