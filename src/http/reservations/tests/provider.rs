use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

/// How long a hold of this sale lives, and the grace of a payment, in ms.
const HOLD_MS: u64 = 2_000;
const GRACE_MS: u64 = 3_000;

/// One buyer at the payment provider.
struct Payer {
    hold: Hold,
    /// When the provider's answer comes.
    paid_ms: u64,
    retakes: bool,
}

/// A provider that answers late: before the grace is over, as it is over, and long after.
#[actix_web::test]
async fn nobody_who_paid_is_left_without_an_answer() {
    let shoes = json!([{ "sku": "shoe", "name": "Shoe", "total": 40 }]);
    let counter = Counter::with(json!({ "items": shoes, "hold_seconds": 2, "payment_grace_seconds": 3 })).await;
    let mut rng = StdRng::seed_from_u64(7);
    let mut payers = Vec::new();
    for n in 0..40_u64 {
        let hold = counter.hold(&format!("payer-{n}"), 1).await;
        assert_eq!(counter.as_shop(&hold, "paying", json!({})).await.status, 200);
        let paid_ms = rng.random_range(0..HOLD_MS + 2 * GRACE_MS);
        payers.push(Payer { hold, paid_ms, retakes: n % 2 == 0 });
    }
    let (mut confirmed, mut refused, mut taken) = (0, 0, 0);
    for now_ms in (0..HOLD_MS + 2 * GRACE_MS).step_by(100) {
        for payer in payers.iter().filter(|payer| (now_ms..now_ms + 100).contains(&payer.paid_ms)) {
            let if_expired = if payer.retakes { "retake" } else { "reject" };
            let body = json!({ "order": payer.hold.id, "if_expired": if_expired });
            // The provider tells the shop three times, and gets one answer.
            let first = counter.as_shop(&payer.hold, "confirm", body.clone()).await;
            for _ in 0..2 {
                assert_eq!(counter.as_shop(&payer.hold, "confirm", body.clone()).await.status, first.status);
            }
            let in_time = now_ms < GRACE_MS;
            assert!(!in_time || first.status == 200, "paid after {now_ms} ms: {}", first.body);
            match first.status {
                200 => confirmed += 1,
                410 => refused += 1,
                status => panic!("{status}: {}", first.body),
            }
        }
        // Others are after what comes back, so that not every late payer finds a shoe.
        let key = format!("other-{now_ms}");
        let other =
            counter.reserve(&key, json!({ "lines": [{ "sku": "shoe", "quantity": 1 }], "hold_seconds": 900 })).await;
        taken += u64::from(other.status == 201);
        counter.bench.pass_ms(100);
    }
    assert_eq!(confirmed + refused, 40);
    let retaken_late = payers.iter().filter(|payer| payer.retakes && payer.paid_ms >= GRACE_MS).count();
    assert!(refused > 0 && taken > 0 && retaken_late > 0, "{refused} refused, {taken} taken, {retaken_late} late");
    told_once(&counter, &payers, refused).await;
    let (available, held, sold) = counter.shoes().await;
    assert_eq!((available + held, held, sold), (40 - confirmed, taken, confirmed));
}

/// Whether every payer is either sold to or told of by one event, and not both.
async fn told_once(counter: &Counter, payers: &[Payer], refused: u64) {
    let reply = counter.bench.call(Method::GET, "/v1/sales/drop/events?limit=1000", Value::Null).await;
    let events = reply.body["events"].as_array().unwrap();
    let of = |payer: &Payer, kind: &str| {
        let about = |event: &&Value| event["reservation"] == payer.hold.id.as_str() && event["type"] == kind;
        events.iter().filter(about).count()
    };
    let mut late = 0;
    for payer in payers {
        let (sold, told) = (of(payer, "reservation.confirmed"), of(payer, "reservation.paid_too_late"));
        assert_eq!(sold + told, 1, "{}: sold {sold} times, told too late {told} times", payer.hold.id);
        late += told as u64;
    }
    assert_eq!(late, refused);
}
