//! Those who come too late, and those who only seem to.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

/// A lane that has just been told that all is sold, to the reservation 1.
async fn sold_out(items: &[(&str, u64)]) -> (Shop, Arc<SaleLane<Shop>>) {
    let (shop, lane, _) = Shop::new(usize::MAX >> 4, items);
    for (id, (sku, quantity)) in (1..).zip(items) {
        held(lane.submit(reserve(id, sku, *quantity)).await);
    }
    (shop, lane)
}

#[tokio::test]
async fn who_comes_to_nothing_asks_the_cheap_way_unless_it_brings_units_along() {
    let (shop, lane) = sold_out(&[("red", 3)]).await;
    let late = reserve(2, "red", 1);
    assert!(is_sold_out(&lane.submit(late.clone()).await));
    assert_eq!(shop.last_call(), [cheap(&late)]);
    // The same key again is the same grant, however it is asked for.
    held(lane.submit(reserve(1, "red", 3)).await);
    assert_eq!(shop.last_call(), [cheap(&reserve(1, "red", 3))]);
    let Command::Reserve(ask) = reserve(3, "red", 1) else { unreachable!() };
    let swap = Command::Reserve(Reserve { replaces: Some(ReservationId(1)), ..ask });
    lane.submit(swap.clone()).await.unwrap();
    assert_eq!(shop.last_call(), [swap]);
    // What is wrong is told first, as ever.
    let wrong = Command::Reserve(reserve_of(4, &[("red", 0)]));
    let answer = lane.submit(wrong).await.unwrap().outcome;
    assert!(matches!(answer, Outcome::Refused(Refusal::Invalid { .. })), "{answer:?}");
}

#[tokio::test]
async fn ten_thousand_late_comers_are_a_few_dozen_calls() {
    let (shop, lane) = sold_out(&[("red", 1)]).await;
    let before = shop.calls().len();
    let late = (10..10_000).map(|id| lane.submit(reserve(id, "red", 1)));
    assert!(join_all(late).await.iter().all(is_sold_out));
    assert!(shop.calls().len() - before <= 10_000 / BATCH_MAX + 2);
}

#[tokio::test]
async fn what_another_instance_gave_back_is_found_at_once() {
    let (shop, lane) = sold_out(&[("red", 3)]).await;
    shop.behind_its_back(&[Command::Release { id: ReservationId(1) }]);
    held(lane.submit(reserve(2, "red", 1)).await);
    let calls = shop.calls();
    let [.., asked, granted] = &calls[..] else { panic!() };
    assert_eq!((asked, granted), (&vec![cheap(&reserve(2, "red", 1))], &vec![reserve(2, "red", 1)]));
    // And from then on nobody asks twice.
    held(lane.submit(reserve(3, "red", 1)).await);
    assert_eq!(shop.last_call(), [reserve(3, "red", 1)]);
}

#[tokio::test]
async fn a_return_a_restock_a_deadline_and_time_end_the_belief() {
    let restock = Command::Restock { id: ReservationId(77), sku: Sku::parse("red").unwrap(), delta: 1 };
    for back in [Command::Release { id: ReservationId(1) }, restock] {
        let (shop, lane) = sold_out(&[("red", 3)]).await;
        lane.submit(back).await.unwrap();
        held(lane.submit(reserve(2, "red", 1)).await);
        assert_eq!(shop.last_call(), [reserve(2, "red", 1)]);
    }
    for (after_ms, way) in [(249, Way::Cheap), (250, Way::Full)] {
        let (shop, lane) = sold_out(&[("red", 3)]).await;
        shop.0.time.advance(after_ms);
        assert!(is_sold_out(&lane.submit(reserve(2, "red", 1)).await));
        let is_cheap = shop.last_call() == [cheap(&reserve(2, "red", 1))];
        assert_eq!(is_cheap, way == Way::Cheap, "after {after_ms} ms");
    }
    // The hold lives a second; 900 ms of it have gone when the lane hears again that nothing is left.
    let (shop, lane) = sold_out(&[("red", 3)]).await;
    shop.0.time.advance(900);
    assert!(is_sold_out(&lane.submit(reserve(2, "red", 1)).await));
    shop.0.time.advance(100);
    held(lane.submit(reserve(3, "red", 3)).await);
    assert_eq!(shop.last_call(), [reserve(3, "red", 3)]);
}

#[tokio::test]
async fn one_sku_that_is_gone_says_nothing_of_the_others() {
    let (shop, lane, _) = Shop::new(usize::MAX >> 4, &[("red", 1), ("green", 9)]);
    held(lane.submit(reserve(1, "red", 1)).await);
    assert!(is_sold_out(&lane.submit(reserve(2, "red", 1)).await));
    assert_eq!(shop.last_call(), [reserve(2, "red", 1)], "nobody had been told yet");
    assert!(is_sold_out(&lane.submit(reserve(3, "red", 1)).await));
    assert_eq!(shop.last_call(), [cheap(&reserve(3, "red", 1))]);
    held(lane.submit(reserve(4, "green", 1)).await);
    assert_eq!(shop.last_call(), [reserve(4, "green", 1)]);
    let both = Command::Reserve(reserve_of(5, &[("green", 1), ("red", 1)]));
    assert!(is_sold_out(&lane.submit(both.clone()).await));
    assert_eq!(shop.last_call(), [cheap(&both)]);
    // Too many of what there is: not gone.
    assert!(is_sold_out(&lane.submit(reserve(6, "green", 9)).await));
    held(lane.submit(reserve(7, "green", 8)).await);
    assert_eq!(shop.last_call(), [reserve(7, "green", 8)]);
    // Something came back: it may be red.
    lane.submit(Command::Release { id: ReservationId(7) }).await.unwrap();
    assert!(is_sold_out(&lane.submit(reserve(8, "red", 1)).await));
    assert_eq!(shop.last_call(), [reserve(8, "red", 1)]);
    // Another document: anything may be.
    lane.submit(sale_rules(2, &[("red", 3), ("green", 9)])).await.unwrap();
    held(lane.submit(reserve(9, "red", 2)).await);
}

/// Two instances, buyers who pay, walk away or let go, and time that passes: every refusal is true, and in the end
/// every unit is sold.
#[tokio::test]
async fn there_is_no_false_refusal_however_things_fall_together() {
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (shop, one, metrics) = Shop::new(usize::MAX >> 4, &[("red", 40), ("green", 3)]);
        let lanes = [Arc::clone(&one), shop.lane(&metrics)];
        let mut next = 0;
        let (mut holds, mut refused) = (Vec::new(), 0);
        for _ in 0..150 {
            let mut asks = Vec::new();
            for _ in 0..rng.random_range(1..30) {
                next += 1;
                let sku = if rng.random_range(0..5) == 0 { "green" } else { "red" };
                asks.push(lanes[rng.random_range(0..2)].submit(reserve(next, sku, 1)));
            }
            for answer in join_all(asks).await {
                let answer = answer.unwrap();
                match answer.outcome {
                    Outcome::Reservation(reservation) => holds.push(reservation.id),
                    Outcome::Refused(Refusal::SoldOut { lines }) => {
                        refused += 1;
                        assert!(lines.iter().all(|line| line.available == 0), "{lines:?}");
                        let header = answer.header.unwrap();
                        assert!(header.next_due.is_none_or(|due| due > header.now), "refused with holds due");
                    }
                    other => panic!("{other:?}"),
                }
            }
            while let Some(id) = holds.pop_if(|_| rng.random_range(0..3) == 0) {
                let lane = &lanes[rng.random_range(0..2)];
                let order = crate::sale::OrderRef::parse("o").unwrap();
                let pay = crate::sale::Confirm { id, order, lines: None, if_expired: IfExpired::Retake };
                let end = match rng.random_range(0..4) {
                    0 => Command::Confirm(pay),
                    _ => Command::Release { id },
                };
                lane.submit(end).await.unwrap();
            }
            shop.0.time.advance(rng.random_range(0..400));
        }
        assert!(refused > 100, "{refused} refused");
        let view = shop.0.sale.lock().unwrap().as_ref().unwrap().view(UnixMs(0));
        assert!(view.items.iter().all(|item| item.available + item.held + item.sold == item.total));
        // Whatever is held is let go; then as many as there are get one.
        shop.0.time.advance(10_000);
        let left: u64 = view.items.iter().map(|item| item.total - item.sold).sum();
        let asks = (0..50).map(|n| one.submit(reserve(1_000_000 + n, if n < 45 { "red" } else { "green" }, 1)));
        let got = join_all(asks).await.into_iter().filter(|answer| !is_sold_out(answer)).count();
        assert_eq!(got as u64, left);
    }
}
