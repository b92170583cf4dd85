use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::*;

/// What one buyer does, in this order.
const STORIES: [&[(&str, &str)]; 5] = [
    &[("reserve", ""), ("paying", "{}"), ("confirm", r#"{"order":"o"}"#)],
    &[("reserve", ""), ("release", "{}")],
    &[
        ("reserve", ""),
        ("extend", r#"{"seconds":600}"#),
        ("confirm", r#"{"order":"o","lines":[{"sku":"shoe","quantity":1}]}"#),
    ],
    &[("reserve", ""), ("paying", "{}"), ("release", "{}")],
    &[("reserve", "")],
];

/// One call of one buyer.
#[derive(Clone, Copy)]
struct Step {
    buyer: usize,
    at: usize,
}

impl Counter {
    async fn step(&self, step: Step) {
        let (call, body) = STORIES[step.buyer % STORIES.len()][step.at];
        let key = format!("buyer-{}", step.buyer);
        let reserve = json!({ "lines": [{ "sku": "shoe", "quantity": 2 }] });
        let reserved = self.reserve(&key, reserve).await;
        assert_eq!(reserved.status, 201, "{}", reserved.body);
        if call != "reserve" {
            let hold = Hold {
                path: reserved.header("location").to_owned(),
                token: reserved.body["token"].as_str().unwrap().to_owned(),
                id: key,
            };
            let reply = self.as_shop(&hold, call, serde_json::from_str(body).unwrap()).await;
            // Late copies meet a reservation that is through: told so, and nothing else.
            assert!([200, 409, 410].contains(&reply.status), "{call}: {}", reply.body);
        }
    }
}

/// Each buyer's calls in their order, the buyers mixed; with every call three times, the copies anywhere after the first.
fn mixed(rng: &mut StdRng, copies: usize) -> Vec<Step> {
    let mut order: Vec<(f64, Step)> = Vec::new();
    for (buyer, story) in (0..10).map(|buyer| (buyer, STORIES[buyer % STORIES.len()])) {
        let mut first = rng.random_range(0.0..0.3);
        for at in 0..story.len() {
            let step = Step { buyer, at };
            order.push((first, step));
            order.extend((1..copies).map(|_| (rng.random_range(first..1.0), step)));
            first = rng.random_range(first..first + 0.2);
        }
    }
    order.shuffle(rng);
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.into_iter().map(|(_, step)| step).collect()
}

#[actix_web::test]
async fn every_call_three_times_in_any_order_is_every_call_once() {
    let stock = json!({ "items": [{ "sku": "shoe", "name": "Shoe", "total": 20 }] });
    let once = Counter::with(stock.clone()).await;
    for step in mixed(&mut StdRng::seed_from_u64(0), 1) {
        once.step(step).await;
    }
    let (books, events) = once.books().await;
    // Two of each story: 4 sold in whole, 2 in part with 2 back, 8 released, 4 still held.
    assert_eq!(books, [("shoe".to_owned(), 10, 4, 6)]);
    for seed in 1..=12 {
        let thrice = Counter::with(stock.clone()).await;
        for step in mixed(&mut StdRng::seed_from_u64(seed), 3) {
            thrice.step(step).await;
        }
        let (after, seq) = thrice.books().await;
        assert_eq!(after, books, "seed {seed}");
        assert!(seq <= events + 20, "seed {seed}: {seq} events where {events} would do");
    }
}
