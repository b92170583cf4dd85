//! A lane whose store would rather have few batches.

use super::*;
use crate::{
    clock::Clock,
    store::{Backend, embedded::Embedded},
};

/// How many are enough here.
const ENOUGH: usize = 16;

fn store(lasts: Duration) -> Fake {
    Fake::gathering(99, Some(Gathering { lasts, enough: ENOUGH }))
}

/// Longer than any test: only that enough have come can end it.
const LONG: Duration = Duration::from_secs(3_600);

/// Sends for the few who wait for nobody.
async fn few(lane: &Arc<Lane<Fake>>) {
    for n in 1..=window::FEW as u64 {
        assert_eq!(position(lane.submit(JOIN).await), n);
    }
}

#[tokio::test]
async fn behind_a_few_commands_gather_until_there_are_enough() {
    let store = store(LONG);
    let (lane, _) = lane(&store);
    few(&lane).await;
    let mut waiting = queue(&lane, vec![JOIN; ENOUGH - 1]).await;
    settle().await;
    assert_eq!(store.calls().len(), window::FEW, "one each so far");
    waiting.extend(queue(&lane, [JOIN]).await);
    join_all(waiting).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    assert_eq!(store.calls().last().unwrap(), &[Command::Join { count: ENOUGH as u32 }]);
}

#[tokio::test]
async fn what_gathers_is_sent_when_the_time_is_over() {
    let lasts = Duration::from_millis(200);
    let store = store(lasts);
    let (lane, _) = lane(&store);
    few(&lane).await;
    let (started, waiting) = (Instant::now(), queue(&lane, [JOIN, JOIN]).await);
    join_all(waiting).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    assert!(started.elapsed() >= lasts, "{:?}", started.elapsed());
    assert_eq!(store.calls().last().unwrap(), &[Command::Join { count: 2 }]);
}

#[tokio::test]
async fn what_gathers_where_a_runtime_ends_gathers_on_at_home() {
    let store = store(LONG);
    let (lane, _) = lane(&store);
    few(&lane).await;
    let worker = std::thread::spawn({
        let lane = Arc::clone(&lane);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let first = queue(&lane, [look(1)]).await;
                settle().await;
                drop(first);
            });
        }
    });
    worker.join().unwrap();
    let waiting = queue(&lane, vec![JOIN; ENOUGH - 1]).await;
    for answer in join_all(waiting).await {
        answer.expect("the driver went home");
    }
    assert_eq!(store.calls().len(), window::FEW + 1);
}

#[tokio::test]
async fn a_wake_up_for_an_earlier_batch_ends_no_later_wait() {
    let store = store(LONG);
    let (lane, _) = lane(&store);
    few(&lane).await;
    lane.gathered.as_ref().unwrap().notify_one();
    let waiting = queue(&lane, [JOIN]).await;
    settle().await;
    assert_eq!(store.calls().len(), window::FEW, "it waits for others");
    drop(waiting);
}

#[tokio::test]
async fn commands_gather_for_a_disk_and_not_in_memory() {
    let (folder, metrics) = (tempfile::tempdir().unwrap(), Arc::new(Metrics::new()));
    let disk = Embedded::file(folder.path(), Clock::system(), Arc::clone(&metrics)).unwrap();
    assert!(Backend::Embedded(disk).gathering().is_some());
    assert!(Backend::Embedded(Embedded::memory(Clock::system(), metrics)).gathering().is_none());
}
