//! Doing the same for many: a few at once, with progress on stderr.

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    fs,
    future::Future,
    time::{Duration, Instant},
};

/// Open files beside the connections themselves.
const OTHER_FILES: usize = 64;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(5);

/// Does something for every number below `count`, `at_once` of them side by side. The first failure ends it. Results
/// are in order.
pub(crate) async fn for_each<T, F: Future<Output = Result<T>>>(
    what: &str,
    count: usize,
    at_once: usize,
    work: impl FnMut(usize) -> F,
) -> Result<Vec<T>> {
    let began = Instant::now();
    let mut told = began;
    let mut done = 0;
    let results = stream::iter((0..count).map(work)).buffered(at_once.max(1)).inspect_ok(|_| {
        done += 1;
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            eprintln!("  {what}: {done} of {count}");
        }
    });
    let results: Vec<T> = results.try_collect().await?;
    eprintln!("  {what}: {count} in {:.1} s", began.elapsed().as_secs_f64());
    Ok(results)
}

/// Refuses to begin what would run out of open files halfway.
pub(crate) fn check_open_files(connections: usize) -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").context("the limit of open files")?;
    let Some(limit) = open_files(&limits) else { return Ok(()) };
    let needed = connections + OTHER_FILES;
    ensure!(
        needed <= limit,
        "{connections} connections need {needed} open files and this process may have {limit}: raise it with \
         `ulimit -n`, here and for the server; beyond the hard limit use several load testers"
    );
    Ok(())
}

/// The soft limit of open files; `None` for no limit.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_number() {
        let limits = "Limit  Soft Limit Hard Limit Units\nMax open files            1024      20000      files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files  unlimited unlimited files"), None);
    }

    #[tokio::test]
    async fn results_are_in_order_and_a_failure_ends_it() {
        let doubled = for_each("test", 10, 3, |number| async move { Ok(number * 2) }).await.expect("all succeed");
        assert_eq!(doubled, (0..10).map(|number| number * 2).collect::<Vec<_>>());
        let failed = for_each("test", 10, 3, |number| async move {
            ensure!(number != 5, "five");
            Ok(())
        });
        assert!(failed.await.is_err());
    }
}
