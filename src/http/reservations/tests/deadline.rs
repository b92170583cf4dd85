use super::*;

/// A payment, the sweep and the clock meet at the deadline of a hold: one of the two endings, and the payer is told which.
#[actix_web::test]
async fn payment_and_expiry_at_the_same_moment_have_one_winner() {
    let counter = Counter::with(json!({ "hold_seconds": 1 })).await;
    let sale = counter.bench.context.instance.sale("drop").unwrap();
    let (mut paid, mut expired) = (0, 0);
    for round in 0..1_000 {
        let hold = counter.hold(&format!("k-{round}"), 1).await;
        let before = counter.books().await.1;
        // Up to a millisecond before the deadline, on it, and the clock moving past it between the calls.
        counter.bench.pass_ms(999 + round % 2);
        let order = json!({ "order": format!("o-{round}") });
        let pay = counter.as_shop(&hold, "confirm", order);
        let sweep = sale.lane.submit(Command::Tick);
        let pass = async { counter.bench.pass_ms(round % 3 % 2) };
        let reply = match round % 4 {
            0 => tokio::join!(pay, sweep, pass).0,
            1 => tokio::join!(sweep, pay, pass).1,
            2 => tokio::join!(pass, pay, sweep).1,
            _ => tokio::join!(pass, sweep, pay).2,
        };
        let Outcome::Events(events) =
            sale.lane.submit(Command::Events { after: before, term: 0, limit: 100 }).await.unwrap().outcome
        else {
            panic!()
        };
        let ended = |event: &&Event| matches!(event.kind, EventKind::Confirmed { .. } | EventKind::Expired { .. });
        let endings: Vec<&Event> = events.iter().filter(ended).collect();
        match (reply.status, &endings[..]) {
            (200, [Event { kind: EventKind::Confirmed { .. }, .. }]) => paid += 1,
            (410, [Event { kind: EventKind::Expired { .. }, .. }]) => expired += 1,
            (status, endings) => panic!("round {round}: {status} and {endings:?}"),
        }
        // The tenth shoe sold makes room for the next rounds.
        if paid % 10 == 9 && reply.status == 200 {
            let id = crate::sale::ReservationId(u128::from(round));
            let sku = crate::sale::Sku::parse("shoe").unwrap();
            sale.lane.submit(Command::Restock { id, sku, delta: 10 }).await.unwrap();
        }
    }
    let (_, held, sold) = counter.shoes().await;
    assert_eq!((held, sold), (0, paid));
    assert!(paid > 100 && expired > 100, "{paid} paid, {expired} expired: the moment was missed");
}
