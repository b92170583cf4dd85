use proptest::{prelude::*, strategy::ValueTree as _};

use super::*;

/// Any JSON, mostly shaped like what is wanted.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("shoe")),
        (0..3_u64).prop_map(Value::from),
    ]
    .boxed();
    let nested = leaf.clone().prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![
            Just("lines".to_owned()),
            Just("sku".to_owned()),
            Just("quantity".to_owned()),
            Just("hold_seconds".to_owned()),
            Just("replaces".to_owned()),
            Just("buyer".to_owned()),
            "[a-z]{1,4}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop_oneof![leaf, nested]
}

/// A body that asks for something, one part of it replaced by anything.
fn broken_body() -> impl Strategy<Value = Value> {
    (json_value(), 0..9_usize).prop_map(|(any, part)| {
        let mut body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }], "hold_seconds": 60 });
        match part {
            0 => any,
            1 => json!({ "lines": any }),
            2 => json!({ "lines": [any] }),
            3 => json!({ "lines": [{ "sku": any, "quantity": 1 }] }),
            4 => json!({ "lines": [{ "sku": "shoe", "quantity": any }] }),
            5 => json!({ "lines": [{ "sku": "shoe", "quantity": 1 }], "hold_seconds": any }),
            6 => json!({ "lines": [{ "sku": "shoe", "quantity": 1 }], "replaces": any }),
            7 => json!({ "lines": [{ "sku": "sock", "quantity": any }, { "sku": "shoe", "quantity": 1 }] }),
            _ => {
                body["also"] = any;
                body
            }
        }
    })
}

/// Whether a body asks for something that can be had, read off it without any code of the service.
fn may_be_granted(body: &Value) -> bool {
    const KNOWN: [&str; 4] = ["lines", "hold_seconds", "buyer", "replaces"];
    let is_line = |line: &Value| {
        let quantity = line["quantity"].as_u64().is_some_and(|quantity| (1..=10).contains(&quantity));
        quantity
            && (line["sku"] == "shoe" || line["sku"] == "sock")
            && line.as_object().is_some_and(|line| line.len() == 2)
    };
    let Some(members) = body.as_object() else { return false };
    let hold = &body["hold_seconds"];
    members.keys().all(|name| KNOWN.contains(&name.as_str()))
        && body["lines"].as_array().is_some_and(|lines| (1..=20).contains(&lines.len()) && lines.iter().all(is_line))
        && (hold.is_null() || hold.as_u64().is_some_and(|seconds| (1..=900).contains(&seconds)))
        && (body["buyer"].is_null() || body["buyer"].is_string())
        && body["replaces"].is_null()
}

#[actix_web::test]
async fn whatever_is_sent_is_taken_or_refused_by_name_and_never_a_fault() {
    let counter = Counter::open().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut taken, mut named) = (0, 0);
    for round in 0..600 {
        let body = broken_body().new_tree(&mut runner).unwrap().current();
        let before = counter.books().await;
        let reply = counter.reserve(&format!("k-{round}"), body.clone()).await;
        match reply.status {
            // A body of null, number and so on is sent as such; only what may be granted is granted.
            201 => {
                taken += 1;
                assert!(may_be_granted(&body), "granted: {body}");
                let hold = Hold {
                    path: reply.header("location").to_owned(),
                    token: reply.body["token"].as_str().unwrap().to_owned(),
                    id: String::new(),
                };
                assert_eq!(counter.as_holder(&hold, "release", Value::Null).await.status, 200);
            }
            status @ (400 | 404 | 409 | 415) => {
                assert!(reply.body["type"].as_str().is_some_and(|kind| kind.starts_with("urn:dropgate:")), "{body}");
                named += u32::from(reply.body["field"].is_string());
                let says_what = status != 400 || reply.body["field"].is_string() || !body.is_object();
                assert!(says_what, "{body}: {}", reply.body);
                assert_eq!(counter.books().await, before, "{body}");
            }
            status => panic!("{status} to {body}: {}", reply.body),
        }
    }
    assert!(taken > 10 && named > 200, "{taken} taken, {named} named: the bodies are not what they should be");
}

#[actix_web::test]
async fn a_body_that_is_no_json_or_too_long_is_refused() {
    let counter = Counter::open().await;
    let shop = format!("Bearer {}", counter.shop);
    let send = async |kind: &str, body: Vec<u8>| {
        let request = TestRequest::post().uri(HERE).insert_header(("Authorization", shop.clone()));
        let request = request.insert_header(("Idempotency-Key", "k")).insert_header(("Content-Type", kind));
        counter.bench.send(Surface::All, request.set_payload(body)).await
    };
    let good = br#"{"lines":[{"sku":"shoe","quantity":1}]}"#.to_vec();
    assert_problem(&send("text/plain", good.clone()).await, 415, "unsupported_media_type");
    assert_problem(
        &send("application/x-www-form-urlencoded", b"lines=1".to_vec()).await,
        415,
        "unsupported_media_type",
    );
    assert_problem(&send("application/json", Vec::new()).await, 400, "invalid_request");
    for most in 1..good.len() {
        let cut_off = send("application/json", good[..most].to_vec()).await;
        assert_problem(&cut_off, 400, "invalid_request");
        let field = cut_off.body["field"].as_str().unwrap_or("");
        assert!(!field.contains('?'), "no path leads to what is missing: {}", cut_off.body);
    }
    assert_problem(&send("application/json", [good.clone(), good.clone()].concat()).await, 400, "invalid_request");
    assert_problem(&send("application/json", vec![b'{'; 64 * 1024]).await, 400, "invalid_request");
    assert_problem(&send("application/json", vec![b' '; 64 * 1024 + 1]).await, 413, "too_large");
    assert_problem(&send("application/json", vec![0xff, 0xfe]).await, 400, "invalid_request");
    assert_eq!(counter.shoes().await, (10, 0, 0));
    assert_eq!(send("application/json; charset=utf-8", good).await.status, 201);
}

#[actix_web::test]
async fn a_key_is_needed() {
    let counter = Counter::open().await;
    let shop = format!("Bearer {}", counter.shop);
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    for headers in [vec![("Authorization", shop.as_str())], vec![("Authorization", &shop), ("Idempotency-Key", "a b")]]
    {
        let refused = counter.send(Method::POST, HERE, &headers, &body).await;
        assert_problem(&refused, 400, "invalid_request");
        assert_eq!(refused.body["field"], "Idempotency-Key");
    }
}
