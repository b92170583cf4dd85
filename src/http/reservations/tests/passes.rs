use super::*;

/// The pass of a session that starts now in `room`.
async fn pass_of(counter: &Counter, room: &str) -> String {
    let tickets = format!("/v1/rooms/{room}/tickets");
    let joined = counter.send(Method::POST, &tickets, &[], &json!({})).await;
    claim(counter, room, joined.body["ticket"].as_str().unwrap()).await
}

async fn claim(counter: &Counter, room: &str, ticket: &str) -> String {
    let passes = format!("/v1/rooms/{room}/passes");
    let claimed = counter.send(Method::POST, &passes, &[("X-Dropgate-Ticket", ticket)], &json!({})).await;
    assert_eq!(claimed.status, 200, "{}", claimed.body);
    claimed.body["pass"].as_str().unwrap().to_owned()
}

async fn reserve_with(counter: &Counter, pass: &str, key: &str) -> Reply {
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    counter.send(Method::POST, HERE, &[("X-Dropgate-Pass", pass), ("Idempotency-Key", key)], &body).await
}

fn subject(pass: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(pass.split('.').nth(1).unwrap()).unwrap()).unwrap();
    claims["sub"].clone()
}

/// A sale for the visitors of the room `main`.
async fn behind_the_gate() -> Counter {
    Counter::with(json!({ "requires_pass": ["main"] })).await
}

#[actix_web::test]
async fn a_passes_subject_is_the_buyer() {
    let counter = behind_the_gate().await;
    let (ada, bob) = (pass_of(&counter, "main").await, pass_of(&counter, "main").await);
    let one = reserve_with(&counter, &ada, "k").await;
    assert_eq!((one.status, &one.body["buyer"]), (201, &subject(&ada)), "{}", one.body);
    let other = reserve_with(&counter, &bob, "k").await;
    assert_eq!((other.status, &other.body["buyer"]), (201, &subject(&bob)));
    assert_ne!(one.body["id"], other.body["id"], "keys are each buyer's own");
    for key in ["k2", "k3", "k4"] {
        assert_eq!(reserve_with(&counter, &ada, key).await.status, 201);
    }
    assert_problem(&reserve_with(&counter, &ada, "k5").await, 409, "limit_exceeded");
}

#[actix_web::test]
async fn without_a_live_pass_of_the_room_nothing_is_held() {
    let counter = behind_the_gate().await;
    let room = json!({ "name": "Other", "shop_url": "https://shop.example/" });
    counter.bench.call(Method::PUT, "/v1/rooms/other", room).await;
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    let none = counter.send(Method::POST, HERE, &[("Idempotency-Key", "k")], &body).await;
    assert_problem(&none, 403, "pass_required");
    let foreign = pass_of(&counter, "other").await;
    assert_problem(&reserve_with(&counter, &foreign, "k").await, 403, "pass_required");
    let pass = pass_of(&counter, "main").await;
    assert_problem(&reserve_with(&counter, &pass[..pass.len() - 2], "k").await, 401, "invalid_pass");
    assert_problem(&reserve_with(&counter, "", "k").await, 401, "invalid_pass");
    counter.bench.pass_ms(600_000);
    assert_problem(&reserve_with(&counter, &pass, "k").await, 403, "pass_required");
    assert_eq!(counter.shoes().await, (10, 0, 0));
}

#[actix_web::test]
async fn a_session_renewed_past_its_passes_deadline_still_buys() {
    let counter = behind_the_gate().await;
    let pass = pass_of(&counter, "main").await;
    counter.bench.pass_ms(500_000);
    let renew = format!("/v1/rooms/main/sessions/{}/renew", subject(&pass).as_str().unwrap());
    assert_eq!(counter.bench.call(Method::POST, &renew, Value::Null).await.status, 200);
    counter.bench.pass_ms(200_000);
    assert_eq!(reserve_with(&counter, &pass, "k").await.status, 201);
    counter.bench.pass_ms(400_000);
    assert_problem(&reserve_with(&counter, &pass, "k2").await, 403, "pass_required");
    // What was granted stays granted, whatever became of the pass.
    assert_eq!(reserve_with(&counter, &pass, "k").await.status, 201);
}

#[actix_web::test]
async fn a_reset_or_deleted_rooms_passes_are_void() {
    let counter = behind_the_gate().await;
    let pass = pass_of(&counter, "main").await;
    counter.bench.call(Method::POST, "/v1/rooms/main/reset", Value::Null).await;
    assert_problem(&reserve_with(&counter, &pass, "k").await, 403, "pass_required");
    let pass = pass_of(&counter, "main").await;
    assert_eq!(reserve_with(&counter, &pass, "k").await.status, 201);
    let deleted = counter.bench.call(Method::DELETE, "/v1/rooms/main", Value::Null).await;
    if deleted.status == 204 {
        assert_problem(&reserve_with(&counter, &pass, "k2").await, 403, "pass_required");
    } else {
        assert_eq!(deleted.status, 409, "a room that a sale leans on may be kept: {}", deleted.body);
    }
}

#[actix_web::test]
async fn where_no_pass_is_required_one_names_the_buyer() {
    let counter = Counter::open().await;
    let pass = pass_of(&counter, "main").await;
    let made = reserve_with(&counter, &pass, "k").await;
    assert_eq!((made.status, &made.body["buyer"]), (201, &subject(&pass)));
}

#[actix_web::test]
async fn only_a_key_says_who_buys() {
    let counter = behind_the_gate().await;
    let pass = pass_of(&counter, "main").await;
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }], "buyer": "ada" });
    let headers = [("X-Dropgate-Pass", pass.as_str()), ("Idempotency-Key", "k")];
    let refused = counter.send(Method::POST, HERE, &headers, &body).await;
    assert_problem(&refused, 400, "invalid_request");
    assert_eq!(refused.body["field"], "buyer");
    // A shop that passes the visitor's pass on buys for that visitor, by its own right.
    let shop = format!("Bearer {}", counter.shop);
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    counter.bench.pass_ms(700_000);
    let headers = [("Authorization", shop.as_str()), ("X-Dropgate-Pass", &pass), ("Idempotency-Key", "k")];
    let made = counter.send(Method::POST, HERE, &headers, &body).await;
    assert_eq!((made.status, &made.body["buyer"]), (201, &subject(&pass)), "{}", made.body);
}

#[actix_web::test]
async fn one_key_of_a_shop_is_one_visitors() {
    let counter = Counter::open().await;
    let (ada, bob) = (pass_of(&counter, "main").await, pass_of(&counter, "main").await);
    let shop = format!("Bearer {}", counter.shop);
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    let ask = async |pass: &str| {
        let headers = [("Authorization", shop.as_str()), ("X-Dropgate-Pass", pass), ("Idempotency-Key", "k")];
        counter.send(Method::POST, HERE, &headers, &body).await
    };
    let made = ask(&ada).await;
    assert_eq!((made.status, &made.body["buyer"]), (201, &subject(&ada)), "{}", made.body);
    assert_problem(&ask(&bob).await, 422, "key_reused");
    assert_eq!(ask(&ada).await.body, made.body);
}

#[actix_web::test]
async fn a_proxys_password_is_no_key() {
    let counter = behind_the_gate().await;
    let pass = pass_of(&counter, "main").await;
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    let headers = [("Authorization", "Basic YTpi"), ("X-Dropgate-Pass", &pass), ("Idempotency-Key", "k")];
    let made = counter.send(Method::POST, HERE, &headers, &body).await;
    assert_eq!((made.status, &made.body["buyer"]), (201, &subject(&pass)), "{}", made.body);
    let token = made.body["token"].as_str().unwrap();
    let headers = [("Authorization", "Basic YTpi"), ("X-Dropgate-Reservation", token)];
    let seen = counter.send(Method::GET, made.header("location"), &headers, &Value::Null).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
}

#[actix_web::test]
async fn where_no_pass_is_required_a_dead_one_names_nobody() {
    let counter = Counter::open().await;
    let pass = pass_of(&counter, "main").await;
    counter.bench.pass_ms(500_000);
    let renew = format!("/v1/rooms/main/sessions/{}/renew", subject(&pass).as_str().unwrap());
    assert_eq!(counter.bench.call(Method::POST, &renew, Value::Null).await.status, 200);
    counter.bench.pass_ms(200_000);
    assert_eq!(reserve_with(&counter, &pass, "k").await.status, 201, "its session was renewed");
    counter.bench.pass_ms(400_000);
    assert_problem(&reserve_with(&counter, &pass, "k2").await, 401, "invalid_pass");
    let pass = pass_of(&counter, "main").await;
    assert_eq!(counter.bench.call(Method::DELETE, "/v1/rooms/main", Value::Null).await.status, 204);
    assert_problem(&reserve_with(&counter, &pass, "k3").await, 401, "invalid_pass");
}

#[actix_web::test]
async fn a_visitor_counts_nothing_where_no_numbers_are_shown() {
    let counter = Counter::with(json!({ "show_numbers": false })).await;
    counter.hold("first", 2).await;
    let pass = pass_of(&counter, "main").await;
    let lines = json!([{ "sku": "shoe", "quantity": 1_000 }, { "sku": "sock", "quantity": 1_000 }]);
    let headers = [("X-Dropgate-Pass", pass.as_str()), ("Idempotency-Key", "k")];
    let refused = counter.send(Method::POST, HERE, &headers, &json!({ "lines": lines })).await;
    assert_problem(&refused, 409, "sold_out");
    let expected = json!([
        { "sku": "shoe", "wanted": 1_000, "available": 1, "held": 1 },
        { "sku": "sock", "wanted": 1_000, "available": 1, "held": 0 },
    ]);
    assert_eq!(refused.body["lines"], expected);
    let told = counter.reserve("k", json!({ "lines": lines })).await;
    assert_eq!(told.body["lines"][0]["available"], 8, "a shop keeps its books: {}", told.body);
}
