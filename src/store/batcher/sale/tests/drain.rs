//! Holds that are due and not yet expired: who waits for them, and who need not.

use super::*;

/// A shop in which so many units of red are held, each by itself, and due.
async fn due(permits: usize, holds: u64, items: &[(&str, u64)]) -> (Shop, Arc<SaleLane<Shop>>, Arc<Metrics>) {
    let (shop, lane, metrics) = Shop::new(permits, items);
    for id in 0..holds {
        shop.behind_its_back(&[reserve(1_000_000 + u128::from(id), "red", 1)]);
    }
    shop.0.time.advance(1_000);
    (shop, lane, metrics)
}

fn without_ticks(calls: Vec<Vec<Command>>) -> Vec<Vec<Command>> {
    let asked = |call: Vec<Command>| call.into_iter().filter(|command| *command != Command::Tick).collect::<Vec<_>>();
    calls.into_iter().map(asked).filter(|call| !call.is_empty()).collect()
}

#[tokio::test]
async fn one_tick_is_enough_to_bring_back_all_that_is_due() {
    let (shop, lane, _) = due(0, 2_000, &[("red", 2_000)]).await;
    let tick = queue(&lane, [Command::Tick]).pop().unwrap();
    shop.let_pass(100);
    tick.await.unwrap();
    settle().await;
    assert_eq!(lane.header().unwrap().available, 2_000);
    // 128 by the first, with its tick; then 512 each.
    assert_eq!(shop.calls().len(), 1 + (2_000_usize - 128).div_ceil(64 * (1 + DRAIN_TICKS)));
    // And then there is peace.
    settle().await;
    assert_eq!(lane.submit(look(1)).await.unwrap().header.unwrap().next_due, None);
    assert_eq!(shop.last_call(), [look(1)]);
}

#[tokio::test]
async fn those_who_need_not_wait_meet_few_expiries() {
    let (shop, lane, _) = due(0, 2_000, &[("red", 2_000), ("green", 9)]).await;
    let tick = queue(&lane, [Command::Tick]).pop().unwrap();
    settle().await;
    let green = queue(&lane, [reserve(1, "green", 1)]).pop().unwrap();
    shop.let_pass(2);
    tick.await.unwrap();
    held(green.await);
    assert_eq!(shop.calls()[1], [vec![Command::Tick; STEADY_TICKS], vec![reserve(1, "green", 1)]].concat());
}

#[tokio::test]
async fn who_waits_is_served_in_the_order_of_coming_and_nobody_else_is_held_up() {
    let (shop, lane, metrics) = due(0, 2_000, &[("red", 2_000), ("green", 1)]).await;
    let [first, second] = [reserve(1, "red", 1_000), reserve(2, "red", 1_000)];
    let mut early = queue(&lane, [first.clone()]);
    settle().await;
    early.extend(queue(&lane, [second.clone()]));
    // Both are told to wait: 64 are back.
    shop.let_pass(2);
    settle().await;
    assert_eq!(metrics.store.queue_depth.get(), 0, "those who wait are asking again");
    let third = queue(&lane, [reserve(3, "red", 1_000)]).pop().unwrap();
    let others = queue(&lane, [reserve(4, "green", 1), look(1)]);
    shop.let_pass(2);
    let others = join_all(others).await;
    held(others.into_iter().next().unwrap());
    shop.let_pass(100);
    for (id, answer) in (1..).zip(join_all(early).await) {
        assert_eq!(held(answer).id, ReservationId(id));
    }
    // Now it is true: the two took everything.
    assert!(is_sold_out(&third.await));
    let asked = without_ticks(shop.calls());
    let ids = |call: &Vec<Command>| -> Vec<u128> {
        call.iter()
            .filter_map(|command| match command {
                Command::Reserve(Reserve { id, .. }) if id.0 < 4 => Some(id.0),
                _ => None,
            })
            .collect()
    };
    let order: Vec<Vec<u128>> = asked.iter().map(ids).collect();
    assert!(order.iter().all(|ids| ids.is_sorted()), "{order:?}");
}

#[tokio::test]
async fn as_many_ask_again_as_leave_room_for_others() {
    let (shop, lane, _) = due(0, 20_000, &[("red", 20_000), ("green", 500)]).await;
    let waiting = queue(&lane, (1..=200).map(|id| reserve(id, "red", 10_000)));
    shop.let_pass(4);
    settle().await;
    // One who wants the same goes behind those who wait, and is not asked for before them.
    let behind = queue(&lane, [reserve(400, "red", 1)]).pop().unwrap();
    let others = queue(&lane, (301..=330).map(|id| reserve(id, "green", 1)));
    shop.let_pass(2);
    settle().await;
    let calls = without_ticks(shop.calls());
    let greens =
        |call: &Vec<Command>| call.iter().filter(|command| skus(command).any(|sku| sku.as_str() == "green")).count();
    let first = calls.iter().find(|call| greens(call) > 0).unwrap();
    assert_eq!((first.len() - greens(first), greens(first)), (batch::LINES_AGAIN, LINES_MAX - batch::LINES_AGAIN));
    assert!(!calls.concat().contains(&reserve(400, "red", 1)));
    shop.let_pass(1_000);
    join_all(others).await.into_iter().for_each(|answer| drop(held(answer)));
    assert!(is_sold_out(&behind.await));
    let answers = join_all(waiting).await;
    assert_eq!(answers.iter().filter(|answer| is_sold_out(answer)).count(), 198);
}

#[tokio::test]
async fn nobody_waits_longer_than_three_seconds() {
    let (shop, lane, metrics) = due(0, 20_000, &[("red", 20_000)]).await;
    shop.0.call_ms.store(700, SeqCst);
    let asks = queue(&lane, (1..=200).map(|id| reserve(id, "red", 20_000)));
    shop.let_pass(8);
    settle().await;
    // The first were told to wait by the first call; those behind them, who were never asked for, soon after.
    for answer in join_all(asks).await {
        assert_eq!(answer.unwrap_err(), StoreError::Overloaded);
    }
    assert_eq!(metrics.store.overloaded.get(), 200);
    assert_eq!(metrics.store.queue_depth.get(), 0);
    // Who asks once all is expired gets what he wants.
    shop.0.call_ms.store(0, SeqCst);
    shop.let_pass(1_000);
    held(lane.submit(reserve(999, "red", 20_000)).await);
}

#[tokio::test]
async fn a_store_that_fails_is_told_to_those_who_wait() {
    let (shop, lane, metrics) = due(0, 5_000, &[("red", 5_000)]).await;
    let waiting = queue(&lane, [reserve(1, "red", 5_000), reserve(2, "red", 5_000)]);
    shop.let_pass(2);
    settle().await;
    shop.0.failing.store(1, SeqCst);
    shop.let_pass(1);
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap_err(), StoreError::Unavailable("cut".to_owned()));
    }
    settle().await;
    let calls = shop.calls().len();
    assert_eq!(metrics.store.queue_depth.get(), 0);
    // A store in trouble is left in peace until somebody asks.
    settle().await;
    assert_eq!(shop.calls().len(), calls);
    shop.let_pass(1_000);
    held(lane.submit(reserve(3, "red", 5_000)).await);
}

#[tokio::test]
async fn who_goes_away_while_waiting_is_not_served() {
    let (shop, lane, _) = due(0, 3_000, &[("red", 3_000)]).await;
    let mut waiting = queue(&lane, [reserve(1, "red", 2_000), reserve(2, "red", 2_000)]);
    shop.let_pass(2);
    settle().await;
    drop(waiting.remove(0));
    shop.let_pass(100);
    held(waiting.remove(0).await);
    assert_eq!(lane.submit(look(1)).await.unwrap().outcome, Outcome::Refused(Refusal::UnknownReservation));
}
