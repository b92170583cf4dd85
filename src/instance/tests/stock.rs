//! What a sale has left reaches its rooms, and who has bought leaves the shop.

use serde_json::json;

use super::*;
use crate::{
    room::{self, Place, SessionRef, Tag, View},
    sale::{
        Buyer, Caller, Command, Confirm, IfExpired, Line, OrderRef, Outcome, ReservationId, Reserve, Sku,
        command::Fingerprint,
    },
};

/// A room `main` that holds for the sale `drop` of so many units, which ends the sessions of its buyers.
struct Shop {
    bench: Bench,
    instance: Arc<Instance>,
}

impl Shop {
    async fn open(units: u64) -> Self {
        Self::of(units, json!({})).await
    }

    async fn of(units: u64, room: serde_json::Value) -> Self {
        let mut document = json!({"id": "main", "name": "Main", "shop_url": "https://shop.example/", "sale": "drop",
            "stock_gate": "hold", "rate_per_minute": 60_000});
        json_patch::merge(&mut document, &room);
        let other = json!({"id": "other", "name": "Other", "shop_url": "https://shop.example/"});
        let sale = json!({"id": "drop", "name": "Drop", "items": [{"sku": "a", "name": "A", "total": units}],
            "requires_pass": ["main", "other"], "finish_session": true, "hold_seconds": 5, "payment_grace_seconds": 0});
        let bench = Bench::new();
        let options = Options {
            rooms: vec![read_document(document).unwrap(), read_document(other).unwrap()],
            sales: vec![read_document(sale).unwrap()],
            ..bench.options()
        };
        let instance = bench.start(options).await.unwrap();
        // Here only the test says when somebody looks.
        instance.stop().await;
        Self { bench, instance }
    }

    async fn room(&self, command: room::Command) -> room::Outcome {
        self.instance.room("main").unwrap().lane.submit(command).await.unwrap().outcome
    }

    async fn join(&self, count: u32) {
        self.room(room::Command::Join { count }).await;
    }

    async fn enter(&self, position: u64) -> SessionRef {
        self.enter_by("main", position).await
    }

    async fn enter_by(&self, room: &str, position: u64) -> SessionRef {
        let lane = &self.instance.room(room).unwrap().lane;
        // Rooms number alike; tags tell their sessions apart.
        let tag = Tag(position + 1000 * room.len() as u64);
        let claim = room::Command::Claim { place: Place { epoch: 1, position }, tag };
        match lane.submit(claim).await.unwrap().outcome {
            room::Outcome::Live(session) => session.name,
            other => panic!("{other:?}"),
        }
    }

    async fn sale(&self, command: Command) -> Outcome {
        self.instance.sale("drop").unwrap().lane.submit(command).await.unwrap().outcome
    }

    async fn reserve(&self, id: u128, buyer: &str, quantity: u64) {
        let ask = Reserve {
            id: ReservationId(id),
            fingerprint: Fingerprint(0),
            caller: Caller::Shop,
            buyer: Some(Buyer::parse(buyer).unwrap()),
            lines: vec![Line { sku: Sku::parse("a").unwrap(), quantity }],
            hold_seconds: None,
            replaces: None,
        };
        let outcome = self.sale(Command::Reserve(ask)).await;
        assert!(matches!(outcome, Outcome::Reservation(_)), "{outcome:?}");
    }

    async fn buy(&self, id: u128, quantity: u64) {
        let lines = Some(vec![Line { sku: Sku::parse("a").unwrap(), quantity }]);
        let order = OrderRef::parse(&format!("order-{id}")).unwrap();
        let confirm = Confirm { id: ReservationId(id), order, lines, if_expired: IfExpired::Reject };
        let outcome = self.sale(Command::Confirm(confirm)).await;
        assert!(matches!(outcome, Outcome::Reservation(_)), "{outcome:?}");
    }

    async fn look(&self) -> Arc<View> {
        self.look_at("main").await
    }

    async fn look_at(&self, room: &str) -> Arc<View> {
        self.instance.follow_sales().await;
        self.instance.room(room).unwrap().lane.view().unwrap()
    }
}

#[tokio::test]
async fn a_room_hears_of_its_sale_and_calls_one_visitor_a_unit() {
    let shop = Shop::open(3).await;
    shop.join(10).await;
    assert_eq!(shop.look().await.head, 3);
    for position in 1..=3 {
        let name = shop.enter(position).await;
        shop.reserve(position.into(), &name.to_string(), 1).await;
    }
    let view = shop.look().await;
    assert_eq!((view.head, view.undecided, view.stock.unwrap().held), (3, 0, 3));
    shop.sale(Command::Release { id: ReservationId(2) }).await;
    assert_eq!(shop.look().await.head, 4, "one returned unit calls one");
    shop.enter(4).await;
    shop.bench.pass_ms(5_000);
    let view = shop.look().await;
    assert_eq!(
        (view.head, view.stock.unwrap().available),
        (6, 3),
        "holds that ran out call as many, whoever is looking"
    );
}

#[tokio::test]
async fn a_line_goes_on_for_as_long_as_its_sale_is_heard_of() {
    let shop = Shop::of(1_000, json!({"rate_per_minute": 60, "burst": 1})).await;
    shop.join(100).await;
    for _ in 0..100 {
        shop.bench.pass_ms(100);
        shop.look().await;
    }
    shop.room(room::Command::Tick).await;
    let head = || shop.instance.room("main").unwrap().lane.view().unwrap().head;
    assert_eq!(head(), 11, "one a second, as ever");
    shop.bench.pass_ms(2_000);
    shop.room(room::Command::Tick).await;
    assert_eq!(head(), 11, "not heard of for two seconds");
    assert!(shop.look().await.head > 11);
}

#[tokio::test]
async fn nobody_is_led_into_a_sale_that_has_closed() {
    for gate in ["hold", "inform"] {
        let shop = Shop::of(3, json!({"stock_gate": gate, "rate_per_minute": 1, "burst": 1})).await;
        let closing = json!({"closes_at": "2027-01-15T08:00:10Z"});
        shop.instance.patch_sale("drop", &closing, Expect::Any).await.unwrap();
        shop.join(9).await;
        let view = shop.look().await;
        assert_eq!((view.head, view.stock.unwrap().available), (1, 3));
        shop.reserve(1, "somebody", 2).await;
        shop.bench.pass_ms(10_000);
        assert_eq!(shop.look().await.stock.unwrap().level(), room::stock::Level::SoldOut, "{gate}");
        shop.bench.pass_ms(60_000);
        shop.look().await;
        shop.room(room::Command::Tick).await;
        assert_eq!(shop.look().await.head, if gate == "hold" { 1 } else { 2 });
    }
}

#[tokio::test]
async fn an_idle_room_that_informs_learns_of_the_closing() {
    let shop = Shop::of(3, json!({"stock_gate": "inform"})).await;
    let closing = json!({"closes_at": "2027-01-15T08:00:10Z"});
    shop.instance.patch_sale("drop", &closing, Expect::Any).await.unwrap();
    assert_eq!(shop.look().await.stock.unwrap().level(), room::stock::Level::InStock);
    shop.bench.pass_ms(9_999);
    assert_eq!(shop.look().await.stock.unwrap().level(), room::stock::Level::InStock);
    shop.bench.pass_ms(1);
    assert_eq!(shop.look().await.stock.unwrap().level(), room::stock::Level::SoldOut);
    let later = json!({"closes_at": "2027-01-15T08:00:20Z"});
    shop.instance.patch_sale("drop", &later, Expect::Any).await.unwrap();
    assert_eq!(shop.look().await.stock.unwrap().level(), room::stock::Level::InStock, "it was put off");
}

#[tokio::test]
async fn nobody_is_led_into_a_sale_before_it_opens() {
    let shop = Shop::open(3).await;
    let opening = json!({"opens_at": "2027-01-15T08:00:10Z"});
    shop.instance.patch_sale("drop", &opening, Expect::Any).await.unwrap();
    shop.join(9).await;
    let view = shop.look().await;
    assert_eq!((view.head, view.stock.unwrap().level()), (0, room::stock::Level::InStock));
    shop.bench.pass_ms(9_999);
    assert_eq!(shop.look().await.head, 0);
    shop.bench.pass_ms(1);
    assert_eq!(shop.look().await.head, 3, "the first look after the opening calls");
}

#[tokio::test]
async fn a_sale_that_is_gone_is_no_stock_and_one_made_anew_another() {
    let shop = Shop::open(3).await;
    shop.reserve(1, "somebody", 1).await;
    assert_eq!(shop.look().await.stock.unwrap().available, 2);
    let document = shop.instance.sale("drop").unwrap().document.clone();
    shop.instance.delete_sale("drop", Expect::Any, crate::instance::LiveHolds::Drop).await.unwrap();
    assert_eq!(shop.look().await.stock, None);
    shop.instance.put_sale(&document, Expect::Absent).await.unwrap();
    let stock = shop.look().await.stock.unwrap();
    assert_eq!((stock.available, stock.held), (3, 0), "though its events are numbered from the beginning");
}

#[tokio::test]
async fn who_has_bought_all_it_reserved_leaves_and_nobody_else() {
    let shop = Shop::of(9, json!({"stock_gate": "off", "max_active": 3, "burst": 10})).await;
    shop.join(9).await;
    let names = [shop.enter(1).await, shop.enter(2).await, shop.enter(3).await];
    for (id, name) in (1..).zip(&names) {
        shop.reserve(id, &name.to_string(), 2).await;
    }
    shop.reserve(4, "a-name-of-the-shop's", 1).await;
    shop.buy(4, 1).await;
    shop.buy(1, 1).await;
    let view = shop.look().await;
    assert_eq!((view.inside, view.head), (3, 3), "a part, and a stranger's: nobody leaves");
    shop.buy(2, 2).await;
    let view = shop.look().await;
    assert_eq!((view.inside, view.head), (2, 4), "the next comes in");
    let check = room::Command::Check { session: names[1], holder: room::Holder::App };
    assert_eq!(shop.room(check).await, room::Outcome::Refused(room::Refusal::SessionOver));
}

#[tokio::test]
async fn a_purchase_ends_the_session_of_its_own_room() {
    let shop = Shop::of(9, json!({"stock_gate": "inform"})).await;
    shop.join(1).await;
    shop.instance.room("other").unwrap().lane.submit(room::Command::Join { count: 1 }).await.unwrap();
    shop.look().await;
    let (here, there) = (shop.enter(1).await, shop.enter_by("other", 1).await);
    assert_ne!(here, there);
    shop.reserve(1, &there.to_string(), 1).await;
    shop.buy(1, 1).await;
    assert_eq!((shop.look_at("main").await.inside, shop.look_at("other").await.inside), (1, 0));
}

#[tokio::test]
async fn a_purchase_just_before_a_stop_ends_its_session_after_the_start() {
    let shop = Shop::of(9, json!({"stock_gate": "off"})).await;
    shop.join(2).await;
    let name = shop.enter(1).await;
    shop.enter(2).await;
    shop.reserve(1, &name.to_string(), 1).await;
    shop.buy(1, 1).await;
    let again = shop.bench.instance().await;
    again.follow_sales().await;
    assert_eq!(again.room("main").unwrap().lane.view().unwrap().inside, 1);
}
