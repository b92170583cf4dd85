//! Payments that arrive as the hold ends, in real time.

use std::time::Duration;

use futures_util::future::join_all;
use rand::Rng;
use rstest::rstest;
use serde_json::json;

use crate::support::{
    server::{Backend, Home},
    stock::{Shop, Told},
};

const HOLDS: usize = 1_000;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_payments_within_a_millisecond_of_the_deadline(
    #[values(Backend::Memory, Backend::Redis)] store: Backend,
) {
    let home = Home::on(store);
    let server = home.start();
    let shop = Shop::open(&server, HOLDS as u64, json!({ "hold_seconds": 1 })).await;
    let pay = async |buyer: usize| {
        let (status, answer) = shop.reserve(&format!("buyer-{buyer}")).await.unwrap();
        assert_eq!(status, 201, "{answer}");
        let expires: jiff::Timestamp = answer["expires_at"].as_str().unwrap().parse().unwrap();
        let off_us = rand::rng().random_range(-1_000..1_000);
        let left_us = expires.as_microsecond() - jiff::Timestamp::now().as_microsecond() + off_us;
        tokio::time::sleep(Duration::from_micros(left_us.try_into().unwrap_or(0))).await;
        let id = answer["id"].as_str().unwrap().to_owned();
        let (status, _) = shop.call(&id, "confirm", json!({ "order": id })).await.unwrap();
        (id, status)
    };
    let paid: Vec<(String, u16)> = join_all((0..HOLDS).map(pay)).await;
    let mut told = Told::default();
    shop.audit(&mut told).await;
    for (id, status) in &paid {
        let expected = match status {
            200 => vec![("held", None), ("confirmed", Some(id.as_str()))],
            410 => vec![("held", None), ("expired", None), ("paid_too_late", Some(id.as_str()))],
            _ => panic!("{status}"),
        };
        assert_eq!(told.story(id), expected, "exactly one of the two, and the payer was told which");
    }
    let confirmed = paid.iter().filter(|(_, status)| *status == 200).count();
    assert_eq!((told.sold, told.held), (confirmed as i64, 0));
    assert_eq!(server.stop(), 0);
}
