use serde_json::json;

use super::*;
use crate::{
    id::SaleId,
    sale::{
        Buyer, Caller, Command, Document, Line, Outcome, Refusal, ReservationId, Reserve, Sku,
        command::Fingerprint,
        view::{Header, Item},
    },
    store::{Store as _, catalog},
};

fn document(changes: serde_json::Value) -> Document {
    let mut document = json!({
        "id": "drop", "name": "Drop",
        "items": [{ "sku": "b", "name": "Bee", "total": 10 }, { "sku": "a", "name": "Ay", "total": 5 }],
    });
    json_patch::merge(&mut document, &changes);
    read_document(document).unwrap()
}

/// The document with that total of `b`.
fn of_b(total: u64) -> Document {
    document(
        json!({ "items": [{ "sku": "b", "name": "Bee", "total": total }, { "sku": "a", "name": "Ay", "total": 5 }] }),
    )
}

fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

fn drop_id() -> SaleId {
    SaleId::parse("drop").unwrap()
}

impl Bench {
    /// What anybody else does to the sale behind the instances' backs.
    async fn sale(&self, command: Command) -> (Outcome, Option<Header>) {
        let mut reply = self.store.sale(drop_id(), vec![command]).await.unwrap();
        (reply.outcomes.remove(0), reply.header)
    }

    async fn hold(&self, id: u128, quantity: u64) {
        let outcome = self.reserve(id, quantity).await;
        assert!(matches!(outcome, Outcome::Reservation(_)), "{outcome:?}");
    }

    async fn hold_if_any(&self, id: u128) {
        let outcome = self.reserve(id, 1).await;
        assert!(matches!(outcome, Outcome::Reservation(_) | Outcome::Refused(Refusal::SoldOut { .. })), "{outcome:?}");
    }

    async fn reserve(&self, id: u128, quantity: u64) -> Outcome {
        let ask = Reserve {
            id: ReservationId(id),
            fingerprint: Fingerprint(0),
            caller: Caller::Shop,
            buyer: Some(Buyer::parse(&format!("bo-{id}")).unwrap()),
            lines: vec![Line { sku: sku("b"), quantity }],
            hold_seconds: None,
            replaces: None,
        };
        self.sale(Command::Reserve(ask)).await.0
    }

    /// Writes the document as a process that dies before it tells the stock.
    async fn only_write(&self, document: &Document) {
        let body = serde_json::to_string(document).unwrap();
        let put = catalog::Command::Put { kind: Kind::Sale, id: "drop".to_owned(), body, expect: Expect::Any };
        assert!(matches!(self.store.catalog(vec![put]).await.unwrap()[0], catalog::Outcome::Put { .. }));
    }

    async fn books_of_b(&self) -> (u64, u64, u64, u64) {
        let (Outcome::Items(view), _) = self.sale(Command::Items).await else { panic!("no items") };
        let Item { total, available, held, sold, .. } = view.items.into_iter().find(|i| i.sku.as_str() == "b").unwrap();
        (total, available, held, sold)
    }
}

#[tokio::test]
async fn a_declared_sale_is_made_once_and_then_left_alone() {
    let bench = Bench::new();
    let with_drop = async || {
        let sales = vec![document(json!({}))];
        bench.start(Options { sales, ..bench.options() }).await.unwrap()
    };
    let first = with_drop().await;
    assert_eq!(bench.books_of_b().await, (10, 10, 0, 0), "it sells at once");
    first.patch_sale("drop", &json!({ "hold_seconds": 60 }), Expect::Any).await.unwrap();
    first.stop().await;
    assert_eq!(with_drop().await.sale("drop").unwrap().document.hold_seconds, 60, "the operator's change stays");

    let bad = Options { sales: vec![document(json!({ "hold_seconds": 0 }))], ..bench.options() };
    match bench.start(bad).await {
        Err(StartError::Sale { sale, error }) => assert_eq!((&*sale, &*error.field), ("drop", "hold_seconds")),
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn a_changed_total_moves_the_stock_by_the_difference_and_the_same_document_by_nothing() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    let made = instance.put_sale(&of_b(10), Expect::Absent).await.unwrap();
    assert!(made.created);
    bench.hold(1, 4).await;
    let item = instance.restock_sale("drop", ReservationId(7), &sku("b"), 3).await.unwrap();
    assert_eq!((item.total, item.available, item.held), (13, 9, 4));
    let again = instance.restock_sale("drop", ReservationId(7), &sku("b"), 3).await.unwrap();
    assert_eq!(again, item, "sent twice, done once");
    let other = instance.restock_sale("drop", ReservationId(7), &sku("b"), 4).await;
    assert_eq!(other, Err(OperateError::Refused(Refusal::KeyReused)));

    let same = instance.put_sale(&of_b(10), Expect::Any).await.unwrap();
    assert_eq!((same.created, same.sale.version), (false, made.sale.version));
    assert_eq!(bench.books_of_b().await, (13, 9, 4, 0), "the document's total is not the stock's");
    instance.put_sale(&of_b(4), Expect::Version(made.sale.version)).await.unwrap();
    assert_eq!(bench.books_of_b().await, (7, 3, 4, 0), "six fewer than before");
    let stale = instance.put_sale(&of_b(5), Expect::Version(made.sale.version)).await.err();
    assert!(matches!(stale, Some(OperateError::Stale { found: Some(_) })));
}

#[tokio::test]
async fn a_document_the_stock_cannot_obey_changes_nothing() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    let made = instance.put_sale(&of_b(10), Expect::Absent).await.unwrap().sale;
    bench.hold(1, 4).await;
    let refused = instance.put_sale(&of_b(3), Expect::Any).await.err();
    assert!(matches!(&refused, Some(OperateError::Conflict(detail)) if detail.contains("6 available")), "{refused:?}");
    let without = document(json!({ "items": [{ "sku": "a", "name": "Ay", "total": 5 }] }));
    assert!(matches!(instance.put_sale(&without, Expect::Any).await.err(), Some(OperateError::Conflict(_))));
    // Within the document's bounds, beyond the stock's after a restock.
    instance.restock_sale("drop", ReservationId(7), &sku("b"), 1).await.unwrap();
    let much = instance.put_sale(&of_b(1_000_000_000), Expect::Any).await.err();
    assert!(matches!(&much, Some(OperateError::Invalid(error)) if error.field == "total"), "{much:?}");
    let stands = instance.sale("drop").unwrap();
    assert_eq!((stands.version, &*stands.document), (made.version, &of_b(10)));
    assert_eq!(bench.books_of_b().await, (11, 7, 4, 0));
}

#[tokio::test]
async fn a_writer_that_died_before_it_told_the_stock_is_made_up_for() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    instance.put_sale(&of_b(10), Expect::Absent).await.unwrap();
    bench.only_write(&of_b(12)).await;
    assert_eq!(bench.books_of_b().await, (10, 10, 0, 0));
    instance.refresh().await.unwrap();
    assert_eq!(bench.books_of_b().await, (12, 12, 0, 0));
}

#[tokio::test]
async fn a_document_that_the_stock_refuses_after_all_is_taken_back_and_never_obeyed_later() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    instance.put_sale(&of_b(10), Expect::Absent).await.unwrap();
    // The units go between the writer's question and its document.
    bench.hold(1, 8).await;
    bench.only_write(&Document { name: "New name".to_owned(), ..of_b(3) }).await;
    instance.refresh().await.unwrap();
    assert_eq!(*instance.sale("drop").unwrap().document, of_b(10), "as it was, to the last letter");

    // The same, found by a process that does not know the former document: it asks the stock.
    instance.stop().await;
    bench.only_write(&Document { name: "New name".to_owned(), hold_seconds: 77, ..of_b(3) }).await;
    let next = bench.instance().await;
    let stands = next.sale("drop").unwrap();
    assert_eq!(stands.document.rules(), of_b(10).rules());
    assert!(!stands.lags(), "the stock has heard of it");
    bench.sale(Command::Release { id: ReservationId(1) }).await;
    next.refresh().await.unwrap();
    assert_eq!(bench.books_of_b().await, (10, 10, 0, 0), "nothing is withdrawn when the units are back");
}

#[tokio::test]
async fn two_writers_at_once_leave_a_stock_that_fits_the_document() {
    let bench = Bench::new();
    let (one, two) = (bench.instance().await, bench.instance().await);
    one.put_sale(&of_b(100), Expect::Absent).await.unwrap();
    for round in 0..40 {
        let (a, b) = (of_b(100 + round), of_b(300 - round));
        let (a, b) = tokio::join!(one.put_sale(&a, Expect::Any), two.put_sale(&b, Expect::Any));
        assert!(a.is_ok() || b.is_ok());
        one.refresh().await.unwrap();
        two.refresh().await.unwrap();
        let stands = one.sale("drop").unwrap();
        assert_eq!(stands.version, two.sale("drop").unwrap().version);
        assert_eq!(bench.books_of_b().await.0, stands.document.items[0].total, "round {round}");
    }
}

#[tokio::test]
async fn an_operator_who_withdraws_while_buyers_come_is_told_the_truth() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    instance.put_sale(&of_b(0), Expect::Absent).await.unwrap();
    let mut refusals = 0;
    for round in 0..60_u128 {
        instance.put_sale(&of_b(5), Expect::Any).await.unwrap();
        // Whoever comes between the operator's question and the document makes the stock refuse it.
        let buyers = async {
            for id in 0..5 {
                bench.hold_if_any(round * 10 + id).await;
            }
        };
        let all_gone = of_b(0);
        let (put, ()) = tokio::join!(instance.put_sale(&all_gone, Expect::Any), buyers);
        let stands = instance.sale("drop").unwrap();
        match put {
            Ok(_) => assert_eq!(*stands.document, all_gone),
            Err(OperateError::Conflict(_)) => {
                assert_eq!(*stands.document, of_b(5), "as it was");
                refusals += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
        assert!(!stands.lags(), "round {round}");
        let (total, available, held, _) = bench.books_of_b().await;
        assert_eq!((total, available + held), (stands.document.items[0].total, total), "round {round}");
        // All back before the next round.
        bench.pass_ms(300_000);
    }
    assert!(refusals > 0, "the race was run");
}

#[tokio::test]
async fn a_sale_with_live_holds_is_deleted_on_insistence_only() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    instance.put_sale(&of_b(10), Expect::Absent).await.unwrap();
    bench.hold(1, 4).await;
    let refused = instance.delete_sale("drop", Expect::Any, LiveHolds::Respect).await;
    assert!(matches!(&refused, Err(OperateError::Conflict(detail)) if detail.contains("4 units")), "{refused:?}");
    assert!(instance.sale("drop").is_some());
    let version = instance.sale("drop").unwrap().version;
    let stale = instance.delete_sale("drop", Expect::Version(version + 1), LiveHolds::Drop).await;
    assert_eq!(stale, Err(OperateError::Stale { found: Some(version) }));
    instance.delete_sale("drop", Expect::Version(version), LiveHolds::Drop).await.unwrap();
    assert!(instance.sale("drop").is_none());
    assert_eq!(bench.sale(Command::Items).await.0, Outcome::Refused(Refusal::UnknownSale));
    let gone = instance.delete_sale("drop", Expect::Any, LiveHolds::Drop).await;
    assert_eq!(gone, Err(OperateError::Unknown));

    instance.put_sale(&of_b(10), Expect::Absent).await.unwrap();
    bench.hold(1, 4).await;
    bench.pass_ms(300_000);
    instance.delete_sale("drop", Expect::Any, LiveHolds::Respect).await.unwrap();
}

#[tokio::test]
async fn a_sale_made_again_has_nothing_of_the_one_before() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    let old = instance.put_sale(&of_b(10), Expect::Absent).await.unwrap().sale;
    bench.hold(1, 4).await;
    // A process that dies between forgetting the document and forgetting the stock.
    let delete =
        catalog::Command::Delete { kind: Kind::Sale, id: "drop".to_owned(), expect: Expect::Any, last_epoch: 0 };
    bench.store.catalog(vec![delete]).await.unwrap();
    instance.refresh().await.unwrap();
    assert_eq!(bench.books_of_b().await, (10, 6, 4, 0), "left behind");

    let new = instance.put_sale(&of_b(8), Expect::Absent).await.unwrap();
    assert!(new.created && new.sale.born > old.born);
    assert_eq!(bench.books_of_b().await, (8, 8, 0, 0));
    let (look, _) = bench.sale(Command::Look { id: ReservationId(1) }).await;
    assert_eq!(look, Outcome::Refused(Refusal::UnknownReservation));
    // What the old one's last orders say, arriving late, is not for the new one.
    bench.sale(Command::Delete { born: old.born }).await;
    bench.sale(old.configure()).await;
    assert_eq!(bench.books_of_b().await, (8, 8, 0, 0));
    let (Outcome::Events(events), _) = bench.sale(Command::Events { after: 0, term: 0, limit: 10 }).await else {
        panic!()
    };
    assert_eq!(events[0].seq, 1, "its events are its own");
}

#[tokio::test]
async fn due_holds_come_back_though_nobody_asks() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    instance.put_sale(&of_b(1_000), Expect::Absent).await.unwrap();
    for id in 0..1_000 {
        bench.hold(id, 1).await;
    }
    instance.sale("drop").unwrap().items().await.unwrap();
    instance.tick_sales().await;
    assert_eq!(bench.books_of_b().await, (1_000, 0, 1_000, 0), "nothing is due yet");
    bench.pass_ms(300_000);
    instance.tick_sales().await;
    // Read from the last answer, because a question would itself expire what is due.
    let header = instance.sale("drop").unwrap().lane.header().unwrap();
    assert_eq!((header.available, header.held, header.next_due), (1_005, 0, None));
}

#[tokio::test]
async fn a_crowd_is_shown_items_of_the_last_second() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    let sale = instance.put_sale(&of_b(10), Expect::Absent).await.unwrap().sale;
    let recent = async || sale.recent_items(&instance.clock).await.unwrap().unwrap();
    let first = recent().await;
    bench.hold(1, 4).await;
    bench.pass_ms(999);
    assert!(Arc::ptr_eq(&first, &recent().await), "the store is not asked within the second");
    bench.pass_ms(1);
    let second = recent().await;
    assert_eq!(second.items[1].held, 4);
    bench.pass_ms(1_000);
    assert!(Arc::ptr_eq(&second, &recent().await), "nothing changed: the same value");
}

#[tokio::test]
async fn who_does_not_know_what_stands_there_is_told_that_first() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    let version = instance.put_sale(&of_b(10), Expect::Absent).await.unwrap().sale.version;
    bench.hold(1, 8).await;
    for expect in [Expect::Absent, Expect::Version(version + 1)] {
        let refused = instance.put_sale(&of_b(5), expect).await.err();
        assert_eq!(refused, Some(OperateError::Stale { found: Some(version) }), "{expect:?}");
    }
    let refused = instance.put_sale(&of_b(5), Expect::Version(version)).await.err();
    assert!(matches!(refused, Some(OperateError::Conflict(_))), "{refused:?}");
}

#[tokio::test]
async fn patches_at_the_same_time_all_count() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    instance.put_sale(&of_b(10), Expect::Absent).await.unwrap();
    let (settings, values) = (["name", "max_units_per_buyer"], 0..10_u64);
    let value = |setting: &str, n: u64| if setting == "name" { json!(format!("Drop {n}")) } else { json!(n + 1) };
    let patch = |setting: &'static str, n| {
        let (instance, patch) = (&instance, json!({ setting: value(setting, n) }));
        async move { instance.patch_sale("drop", &patch, Expect::Any).await.map(drop) }
    };
    let patches = settings.iter().flat_map(|setting| values.clone().map(move |n| patch(setting, n)));
    for patched in futures_util::future::join_all(patches).await {
        assert_eq!(patched, Ok(()));
    }
    let document = &instance.sale("drop").unwrap().document;
    assert_eq!((document.name.as_str(), document.max_units_per_buyer), ("Drop 9", Some(10)));
}
