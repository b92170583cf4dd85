use super::*;

#[actix_web::test]
async fn the_holder_looks_pays_extends_and_releases() {
    let counter = Counter::open().await;
    let hold = counter.hold("k", 2).await;
    let seen = counter.look(&hold).await;
    assert_eq!((seen.status, &seen.body["state"]), (200, &json!("held")), "{}", seen.body);
    assert_eq!(seen.body.get("token"), None, "who looks has it");
    counter.bench.pass_ms(200_000);
    let paying = counter.as_holder(&hold, "paying", Value::Null).await;
    let told = ["expires_at", "paying"].map(|field| paying.body[field].clone());
    assert_eq!(told, [json!("2027-01-15T08:08:20Z"), json!(true)], "300 s of grace from now: {}", paying.body);
    counter.bench.pass_ms(1_000);
    let again = counter.as_holder(&hold, "paying", json!({})).await;
    assert_eq!((again.status, &again.body), (200, &paying.body), "once a reservation");
    let extended = counter.as_holder(&hold, "extend", json!({ "seconds": 600 })).await;
    assert_eq!(extended.body["expires_at"], "2027-01-15T08:13:21Z");
    assert_ne!(extended.body["token"], paying.body["token"], "the new token proves the new deadline");
    let capped = counter.as_holder(&hold, "extend", json!({ "seconds": 900 })).await;
    assert_eq!(capped.body["expires_at"], "2027-01-15T08:15:00Z", "never past the longest hold");
    let released = counter.as_holder(&hold, "release", json!({})).await;
    assert_eq!((released.status, &released.body["state"]), (200, &json!("released")));
    assert_eq!(released.body["released_at"], "2027-01-15T08:03:21Z");
    assert_eq!(counter.as_holder(&hold, "release", Value::Null).await.body, released.body);
    assert_problem(&counter.as_holder(&hold, "paying", Value::Null).await, 410, "reservation_released");
    assert_eq!(counter.shoes().await, (10, 0, 0));
}

#[actix_web::test]
async fn an_extension_with_a_key_is_sent_again_and_extends_nothing_more() {
    let counter = Counter::open().await;
    let hold = counter.hold("k", 1).await;
    let extend = async |key: &str, seconds: u64| {
        let headers = [("X-Dropgate-Reservation", hold.token.as_str()), ("Idempotency-Key", key)];
        let path = format!("{}/extend", hold.path);
        let reply = counter.send(Method::POST, &path, &headers, &json!({ "seconds": seconds })).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body["expires_at"].as_str().unwrap().to_owned()
    };
    assert_eq!(extend("a", 400).await, "2027-01-15T08:06:40Z");
    counter.bench.pass_ms(60_000);
    assert_eq!(extend("a", 400).await, "2027-01-15T08:06:40Z", "the same call");
    assert_eq!(extend("b", 400).await, "2027-01-15T08:07:40Z", "another");
    counter.bench.pass_ms(60_000);
    assert_eq!(extend("a", 400).await, "2027-01-15T08:07:40Z", "the first, late");
    assert_eq!(extend("a", 401).await, "2027-01-15T08:08:41Z", "by other seconds it is another call");
}

#[actix_web::test]
async fn a_token_opens_its_own_reservation_alone() {
    let counter = Counter::open().await;
    let (mine, theirs) = (counter.hold("a", 1).await, counter.hold("b", 1).await);
    let crossed = Hold { token: mine.token.clone(), ..theirs };
    assert_problem(&counter.look(&crossed).await, 404, "unknown_reservation");
    for call in ["paying", "release", "extend"] {
        let body = if call == "extend" { json!({ "seconds": 60 }) } else { Value::Null };
        assert_problem(&counter.as_holder(&crossed, call, body).await, 404, "unknown_reservation");
    }
    for forged in ["", "x", &mine.token[..mine.token.len() - 1]] {
        let forged = Hold { token: forged.to_owned(), path: mine.path.clone(), id: mine.id.clone() };
        assert_problem(&counter.look(&forged).await, 404, "unknown_reservation");
    }
    let no_token = counter.send(Method::GET, &mine.path, &[], &Value::Null).await;
    assert_problem(&no_token, 401, "unauthorized");
    let to_confirm = counter.as_holder(&mine, "confirm", json!({ "order": "o" })).await;
    assert_problem(&to_confirm, 401, "unauthorized");
    assert_eq!(counter.shoes().await, (8, 2, 0));
}

#[actix_web::test]
async fn a_deleted_sales_token_proves_nothing_in_the_next() {
    let counter = Counter::open().await;
    let old = counter.hold("a", 1).await;
    let instance = &counter.bench.context.instance;
    let document = crate::sale::Document::clone(&instance.sale("drop").unwrap().document);
    instance.delete_sale("drop", Expect::Any, crate::instance::LiveHolds::Drop).await.unwrap();
    instance.put_sale(&document, Expect::Absent).await.unwrap();
    let new = counter.hold("a", 1).await;
    assert_eq!(new.id, old.id, "the same key names the same");
    assert_problem(&counter.look(&old).await, 404, "unknown_reservation");
    assert_problem(&counter.as_holder(&old, "release", Value::Null).await, 404, "unknown_reservation");
    assert_eq!(counter.look(&new).await.status, 200);
}

#[actix_web::test]
async fn an_id_has_one_spelling() {
    let counter = Counter::open().await;
    let hold = counter.hold("a", 1).await;
    for id in [hold.id.to_uppercase(), hold.id.replace('-', ""), "x".to_owned(), format!("{{{}}}", hold.id)] {
        let shop = format!("Bearer {}", counter.shop);
        let path = format!("{HERE}/{}", id.replace('{', "%7B").replace('}', "%7D"));
        let looked = counter.send(Method::GET, &path, &[("Authorization", &shop)], &Value::Null).await;
        assert_problem(&looked, 404, "unknown_reservation");
    }
}

#[actix_web::test]
async fn a_key_sees_the_reservations_of_its_sale_whoever_made_them() {
    let counter = Counter::open().await;
    let hold = counter.hold("a", 1).await;
    let get = async |secret: &str| {
        let key = format!("Bearer {secret}");
        counter.send(Method::GET, &hold.path, &[("Authorization", &key)], &Value::Null).await
    };
    for scopes in [["shop"], ["read"], ["admin"]] {
        let (secret, _) = counter.bench.key(&scopes, Value::Null).await;
        let seen = get(&secret).await;
        assert_eq!((seen.status, seen.body.get("token")), (200, None), "{scopes:?} {}", seen.body);
    }
    let (reader, _) = counter.bench.key(&["read"], Value::Null).await;
    let reader = format!("Bearer {reader}");
    let release = format!("{}/release", hold.path);
    let refused = counter.send(Method::POST, &release, &[("Authorization", &reader)], &Value::Null).await;
    assert_problem(&refused, 403, "forbidden");
    let (of_a_room, _) = counter.bench.key(&["shop"], json!(["main"])).await;
    assert_problem(&get(&of_a_room).await, 403, "forbidden");
}

#[actix_web::test]
async fn a_payment_confirms_once_and_for_one_order() {
    let counter = Counter::open().await;
    let hold = counter.hold("k", 2).await;
    let confirmed = counter.as_shop(&hold, "confirm", json!({ "order": "o-1" })).await;
    let told = ["state", "order", "confirmed_at"].map(|field| confirmed.body[field].clone());
    assert_eq!(told, [json!("confirmed"), json!("o-1"), json!("2027-01-15T08:00:00Z")], "{}", confirmed.body);
    counter.bench.pass_ms(3_600_000);
    assert_eq!(counter.as_shop(&hold, "confirm", json!({ "order": "o-1" })).await.body, confirmed.body);
    assert_problem(&counter.as_shop(&hold, "confirm", json!({ "order": "o-2" })).await, 409, "conflict");
    for (call, body) in [("release", json!({})), ("paying", json!({})), ("extend", json!({ "seconds": 60 }))] {
        assert_problem(&counter.as_shop(&hold, call, body).await, 409, "conflict");
    }
    assert_eq!(counter.shoes().await, (8, 0, 2));
}

#[actix_web::test]
async fn a_part_is_confirmed_and_the_rest_returns() {
    let counter = Counter::open().await;
    let hold = counter.hold("k", 3).await;
    let too_much = json!({ "order": "o", "lines": [{ "sku": "shoe", "quantity": 4 }] });
    let refused = counter.as_shop(&hold, "confirm", too_much).await;
    assert_problem(&refused, 400, "invalid_request");
    assert_eq!(refused.body["field"], "lines");
    let part = json!({ "order": "o", "lines": [{ "sku": "shoe", "quantity": 1 }] });
    let confirmed = counter.as_shop(&hold, "confirm", part.clone()).await;
    assert_eq!(confirmed.body["lines"], part["lines"]);
    assert_eq!(counter.shoes().await, (9, 0, 1));
}

#[actix_web::test]
async fn a_payment_that_comes_late_is_told_or_takes_the_units_again() {
    let counter = Counter::open().await;
    let (late, later) = (counter.hold("a", 2).await, counter.hold("b", 8).await);
    counter.bench.pass_ms(300_000);
    let before = counter.books().await.1;
    assert_problem(&counter.as_shop(&late, "confirm", json!({ "order": "o-1" })).await, 410, "reservation_expired");
    let after = counter.books().await.1;
    assert_problem(&counter.as_shop(&late, "confirm", json!({ "order": "o-1" })).await, 410, "reservation_expired");
    assert_eq!(counter.books().await.1, after, "told once an order");
    assert!(after > before);
    let retake = json!({ "order": "o-2", "if_expired": "retake" });
    let retaken = counter.as_shop(&later, "confirm", retake.clone()).await;
    assert_eq!((retaken.status, &retaken.body["state"]), (200, &json!("confirmed")), "{}", retaken.body);
    counter.hold("c", 1).await;
    let gone = counter.as_shop(&late, "confirm", json!({ "order": "o-3", "if_expired": "retake" })).await;
    assert_problem(&gone, 410, "reservation_expired");
    assert_eq!(counter.shoes().await, (1, 1, 8));
    let seen = counter.look(&late).await;
    assert_eq!((&seen.body["state"], &seen.body["expired_at"]), (&json!("expired"), &json!("2027-01-15T08:05:00Z")));
}

#[actix_web::test]
async fn bad_bodies_of_calls_change_nothing() {
    let counter = Counter::open().await;
    let hold = counter.hold("k", 2).await;
    let before = counter.books().await;
    for (call, body, field) in [
        ("confirm", json!({}), "order"),
        ("confirm", json!({ "order": 7 }), "order"),
        ("confirm", json!({ "order": "two words" }), "order"),
        ("confirm", json!({ "order": "o", "if_expired": "maybe" }), "if_expired"),
        ("confirm", json!({ "order": "o", "lines": [] }), "lines"),
        ("confirm", json!({ "order": "o", "lines": [{ "sku": "shoe", "quantity": 0 }] }), "lines[0].quantity"),
        ("confirm", json!({ "order": "o", "lines": [{ "sku": "shoe" }] }), "lines[0].quantity"),
        ("confirm", json!({ "order": "o", "price": 1 }), "price"),
        ("confirm", json!({ "order": "o", "lines": [["shoe", 1]] }), "lines[0]"),
        ("extend", json!({}), "seconds"),
        ("extend", json!({ "seconds": 0 }), "seconds"),
        ("extend", json!({ "seconds": 901 }), "seconds"),
        ("extend", json!({ "seconds": -1 }), "seconds"),
        ("extend", json!({ "seconds": 1.5 }), "seconds"),
        ("paying", json!({ "provider": "x" }), "provider"),
        ("release", json!({ "why": "x" }), "why"),
    ] {
        let refused = counter.as_shop(&hold, call, body.clone()).await;
        assert_problem(&refused, 400, "invalid_request");
        assert_eq!(refused.body["field"], field, "{call} {body}: {}", refused.body);
    }
    let unknown =
        counter.as_shop(&hold, "confirm", json!({ "order": "o", "lines": [{ "sku": "hat", "quantity": 1 }] })).await;
    assert_problem(&unknown, 404, "unknown_sku");
    assert_eq!(counter.books().await, before);
}
