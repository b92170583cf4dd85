//! A restart brings back what was, whatever was done and however the store ended.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::store::tests::{JOIN, Time, configure, id, position, random_command, sales};

/// A store on disk beside one in memory, both asked the same at the same times.
struct Twins {
    disk: Embedded,
    memory: Embedded,
    folder: TempDir,
    time: Time,
    metrics: Arc<Metrics>,
}

const ROOMS: [&str; 3] = ["a", "b", "c"];
const SALES: [&str; 2] = ["x", "y"];

impl Twins {
    fn new() -> Self {
        let (time, metrics) = (Time::new(), Arc::new(Metrics::new()));
        let folder = tempfile::tempdir().unwrap();
        let disk = Embedded::file(folder.path(), time.clock(), Arc::clone(&metrics)).unwrap();
        let memory = Embedded::memory(time.clock(), Arc::new(Metrics::new()));
        Self { disk, memory, folder, time, metrics }
    }

    /// Random batches to both, which must answer the same.
    async fn live(&self, rng: &mut StdRng, batches: usize) {
        for n in 0..batches {
            self.time.advance(rng.random_range(0..2_000));
            let room = ROOMS[rng.random_range(0..ROOMS.len())];
            let batch: Vec<_> = (0..rng.random_range(1..8)).map(|_| random_command(rng)).collect();
            self.ask(room, batch).await;
            let sale = SALES[rng.random_range(0..SALES.len())];
            // Large enough that rows are written now and then.
            let batch: Vec<_> = (0..rng.random_range(1..60)).map(|_| sales::random_command(rng)).collect();
            self.ask_sale(sale, batch).await;
            if n % 10 == 0 {
                let put = vec![put(&format!("doc-{}", rng.random_range(0..5)), &n.to_string())];
                assert_eq!(self.disk.catalog(put.clone()).await, self.memory.catalog(put).await);
            }
        }
    }

    async fn ask(&self, room: &str, batch: Vec<room::Command>) {
        let disk = self.disk.room(id(room), batch.clone()).await.unwrap();
        let memory = self.memory.room(id(room), batch.clone()).await.unwrap();
        assert_eq!(disk.outcomes, memory.outcomes, "{batch:?}");
        assert_eq!((disk.now, disk.view), (memory.now, memory.view), "{batch:?}");
    }

    async fn ask_sale(&self, sale: &str, batch: Vec<sale::Command>) {
        let disk = self.disk.sale(sales::id(sale), batch.clone()).await.unwrap();
        let memory = self.memory.sale(sales::id(sale), batch.clone()).await.unwrap();
        assert_eq!(disk.outcomes, memory.outcomes, "{batch:?}");
        assert_eq!((disk.now, disk.header), (memory.now, memory.header), "{batch:?}");
    }

    /// Ends the store on disk and opens it again.
    async fn restart(&mut self, end: End) {
        match end {
            End::Closed => self.disk.close().await.unwrap(),
            End::Crashed => {
                let copy = tempfile::tempdir().unwrap();
                fs::copy(database(&self.folder), database(&copy)).unwrap();
                self.folder = copy;
            }
        }
        self.metrics = Arc::new(Metrics::new());
        self.disk = Embedded::file(self.folder.path(), self.time.clock(), Arc::clone(&self.metrics)).unwrap();
    }
}

#[tokio::test]
async fn a_store_goes_on_after_any_end_as_if_nothing_had_been() {
    for seed in 0..4 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut twins = Twins::new();
        for _ in 0..8 {
            twins.live(&mut rng, 60).await;
            let end = if rng.random() { End::Closed } else { End::Crashed };
            twins.restart(end).await;
        }
        twins.live(&mut rng, 60).await;
    }
}

#[tokio::test]
async fn a_clean_stop_leaves_no_record_to_replay() {
    let mut twins = Twins::new();
    twins.live(&mut StdRng::seed_from_u64(9), 100).await;
    assert!(twins.metrics.store.journal_records.get() > 50);
    twins.restart(End::Closed).await;
    assert_eq!(twins.metrics.store.journal_records.get(), 0);
}

/// Each room's snapshots are taken while the others go on, and the records they cover are removed.
#[tokio::test]
async fn the_journal_and_the_file_stay_short_under_lasting_load() {
    let mut twins = Twins::new();
    for room in ROOMS {
        configure(&twins.disk, room, 1).await;
        configure(&twins.memory, room, 1).await;
    }
    let (mut longest, mut half_way) = (0, 0);
    for round in 0..60 {
        twins.time.advance(100);
        let batches = (0..1_800).map(|n| twins.disk.room(id(ROOMS[n % 2]), vec![JOIN]));
        futures_util::future::join_all(batches).await.into_iter().for_each(|reply| drop(reply.unwrap()));
        longest = longest.max(twins.metrics.store.journal_records.get());
        if round == 30 {
            half_way = fs::metadata(database(&twins.folder)).unwrap().len();
        }
    }
    assert!((10_000..25_000).contains(&longest), "{longest} records");
    let at_the_end = fs::metadata(database(&twins.folder)).unwrap().len();
    assert!(at_the_end <= half_way * 3 / 2, "the file grows without limit: {half_way}, then {at_the_end} bytes");
    twins.restart(End::Crashed).await;
    for room in &ROOMS[..2] {
        assert_eq!(position(&twins.disk.room(id(room), vec![JOIN]).await.unwrap()), 54_001);
    }
    assert_eq!(position(&twins.disk.room(id("c"), vec![JOIN]).await.unwrap()), 1);
}
