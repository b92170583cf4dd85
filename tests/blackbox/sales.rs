//! Sales from the outside: what operators do over real HTTP, `apply`, and `audit` of what a server left behind.

use std::{fs, process::Output};

use reqwest::{Method, header};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    client::{json_of, plain},
    server::{ADMIN_KEY, Backend, Home, Server, dropgate},
};

fn drop_of(total: u64) -> Value {
    json!({ "name": "Drop", "items": [
        { "sku": "shoe/42", "name": "Shoe", "total": total }, { "sku": "sock", "name": "Sock", "total": 5 },
    ] })
}

async fn put(server: &Server, document: &Value, if_match: Option<&str>) -> (u16, Value) {
    let request = plain().put(server.url("/v1/sales/drop")).bearer_auth(ADMIN_KEY).json(document);
    let request = if_match.into_iter().fold(request, |request, version| request.header(header::IF_MATCH, version));
    json_of(request.send().await.unwrap()).await
}

async fn post(server: &Server, path: &str, key: &str, body: Value) -> (u16, Value) {
    let request = plain().post(server.url(&format!("/v1/sales/drop{path}"))).bearer_auth(ADMIN_KEY);
    json_of(request.header("Idempotency-Key", key).json(&body).send().await.unwrap()).await
}

async fn numbers_of_shoe(server: &Server) -> Value {
    let (_, view) = server.admin(Method::GET, "/v1/sales/drop", None).await;
    json!([
        view["items"][0]["total"],
        view["items"][0]["available"],
        view["items"][0]["held"],
        view["items"][0]["sold"]
    ])
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = dropgate().args(arguments).env("DROPGATE_ADMIN_KEY", ADMIN_KEY).output().unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[rstest]
#[tokio::test]
async fn a_sale_is_put_restocked_seen_and_deleted(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let (_home, server) = Server::fresh_on(store);
    let (status, made) = put(&server, &drop_of(10), None).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(put(&server, &drop_of(10), None).await.0, 428);
    assert_eq!(put(&server, &drop_of(10), Some(&made["version"].to_string())).await, (200, made.clone()));
    for _ in 0..3 {
        let (status, item) = post(&server, "/items/shoe%2F42/restock", "again", json!({ "delta": 4 })).await;
        assert_eq!((status, &item["total"], &item["sku"]), (200, &json!(14), &json!("shoe/42")), "{item}");
    }
    let (status, held) =
        post(&server, "/reservations", "r1", json!({ "lines": [{ "sku": "shoe/42", "quantity": 3 }] })).await;
    assert_eq!(status, 201, "{held}");
    assert_eq!(numbers_of_shoe(&server).await, json!([14, 11, 3, 0]));
    // Without a key: cacheable, and the same for everyone.
    let seen = plain().get(server.url("/v1/sales/drop")).send().await.unwrap();
    assert_eq!(seen.headers()[header::CACHE_CONTROL], "public, max-age=1, s-maxage=1, stale-if-error=60");
    assert!(seen.headers().contains_key(header::ETAG) && !seen.headers().contains_key(header::SET_COOKIE));
    assert_eq!(seen.json::<Value>().await.unwrap()["items"][1]["stock"], "in_stock");

    let (status, refused) = put(&server, &json!({ "name": "Drop", "items": [] }), Some("*")).await;
    assert_eq!((status, &refused["field"]), (400, &json!("items")));
    let without_shoe = json!({ "name": "Drop", "items": [{ "sku": "sock", "name": "Sock", "total": 5 }] });
    let (status, refused) = put(&server, &without_shoe, Some("*")).await;
    assert_eq!((status, refused["type"].as_str()), (409, Some("urn:dropgate:conflict")), "{refused}");

    let bare = plain().delete(server.url("/v1/sales/drop")).bearer_auth(ADMIN_KEY).send().await.unwrap();
    assert_eq!(bare.status(), 409, "somebody may be paying");
    let insisting = plain().delete(server.url("/v1/sales/drop")).bearer_auth(ADMIN_KEY).header(header::IF_MATCH, "*");
    assert_eq!(insisting.send().await.unwrap().status(), 204);
    assert_eq!(server.admin(Method::GET, "/v1/sales/drop", None).await.0, 404);
    assert_eq!(put(&server, &drop_of(10), None).await.0, 201);
    assert_eq!(numbers_of_shoe(&server).await, json!([10, 10, 0, 0]), "nothing of the sale before");
}

#[rstest]
#[tokio::test]
async fn a_declared_sale_stands_ready_and_a_restart_leaves_it_alone(
    #[values(Backend::File, Backend::Redis)] store: Backend,
) {
    let declared = "[[sales]]\nid = \"drop\"\nname = \"Drop\"\n\n\
                    [[sales.items]]\nsku = \"shoe/42\"\nname = \"Shoe\"\ntotal = 3\n";
    let home = Home::on(store).with_config(declared);
    let server = home.start();
    assert_eq!(numbers_of_shoe(&server).await, json!([3, 3, 0, 0]));
    post(&server, "/items/shoe%2F42/restock", "k", json!({ "delta": 2 })).await;
    let server = server.kill_and_restart(&home);
    assert_eq!(numbers_of_shoe(&server).await, json!([5, 5, 0, 0]));
    post(&server, "/items/shoe%2F42/restock", "k", json!({ "delta": 2 })).await;
    assert_eq!(numbers_of_shoe(&server).await, json!([5, 5, 0, 0]), "the key of before the restart is known");
}

#[rstest]
#[tokio::test]
async fn apply_creates_and_updates_sales_and_says_what_it_did(
    #[values(Backend::Memory, Backend::Redis)] store: Backend,
) {
    let (home, server) = Server::fresh_on(store);
    let file = home.path("drop.toml");
    let of = |total: u64| {
        format!(
            "[[sales]]\nid = \"drop\"\nname = \"Drop\"\nrequires_pass = [\"main\"]\n\n\
             [[sales.items]]\nsku = \"shoe/42\"\nname = \"Shoe\"\ntotal = {total}\n"
        )
    };
    let apply = |text: String| {
        fs::write(&file, text).unwrap();
        run(&["apply", "--url", server.base(), "--config", file.to_str().unwrap()])
    };
    let (code, stdout, stderr) = apply(of(10));
    assert_eq!((code, stdout.as_str()), (0, "sale drop: created\n"), "{stderr}");
    assert!(stderr.contains("drop.toml:4: sales[0].requires_pass[0]: this file declares no room `main`"), "{stderr}");
    assert_eq!(apply(of(10)).1, "sale drop: unchanged\n");
    post(&server, "/items/shoe%2F42/restock", "k", json!({ "delta": 5 })).await;
    assert_eq!(apply(of(12)).1, "sale drop: shoe/42.total: 10 → 12\n");
    assert_eq!(numbers_of_shoe(&server).await, json!([17, 17, 0, 0]), "two more, and what was restocked stays");
    let lines = json!({ "lines": [{ "sku": "shoe/42", "quantity": 16 }] });
    assert_eq!(post(&server, "/reservations", "r", lines).await.0, 201);
    let (code, _, stderr) = apply(of(1));
    assert_eq!(code, 1);
    assert!(stderr.contains("sale drop: shoe/42: only 1 available to withdraw"), "{stderr}");
    assert_eq!(apply(of(12)).1, "sale drop: unchanged\n", "the refused document left nothing behind");
}

#[tokio::test]
async fn an_audit_finds_the_books_of_a_killed_server_in_order() {
    let home = Home::on_file();
    let mut server = home.start();
    put(&server, &drop_of(100), None).await;
    let reserve = async |n: usize| {
        let lines = json!({ "lines": [{ "sku": "shoe/42", "quantity": 2 }], "hold_seconds": 900 });
        let (status, held) = post(&server, "/reservations", &format!("r{n}"), lines).await;
        assert_eq!(status, 201, "{held}");
        held["id"].as_str().unwrap().to_owned()
    };
    let ids = [reserve(1).await, reserve(2).await, reserve(3).await];
    let order = json!({ "order": "o-1" });
    let (status, confirmed) = post(&server, &format!("/reservations/{}/confirm", ids[0]), "c", order).await;
    assert_eq!(status, 200, "{confirmed}");
    post(&server, &format!("/reservations/{}/release", ids[1]), "l", json!({})).await;

    let store = format!("file:{}", home.path("data").display());
    let audit = |sale: &str| run(&["audit", "--store", &store, "--sale", sale]);
    let (code, _, stderr) = audit("drop");
    assert_eq!(code, 2, "the server has it");
    assert!(stderr.contains("in use by a running instance: stop it first"), "{stderr}");
    server.process().kill();
    for _ in 0..2 {
        let (code, stdout, stderr) = audit("drop");
        assert_eq!(code, 0, "{stdout}{stderr}");
        assert!(stdout.contains("shoe/42: 100 in all = 96 available + 2 held + 2 sold\n"), "{stdout}");
        assert!(stdout.contains("reservations: 1 held, 1 confirmed, 1 ended and remembered\n"), "{stdout}");
    }
    let (code, _, stderr) = audit("other");
    assert_eq!(code, 2);
    assert!(stderr.contains("has no sale `other`"), "{stderr}");
}

#[test]
fn an_audit_of_what_is_no_store_is_a_usage_error() {
    let home = Home::on_file();
    let nowhere = format!("file:{}", home.path("nowhere").display());
    for (store, words) in [("memory:", "gone with its process"), (&*nowhere, "there is no store")] {
        let (code, stdout, stderr) = run(&["audit", "--store", store, "--sale", "drop"]);
        assert_eq!((code, &*stdout), (2, ""), "{store}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{stderr}");
    }
    assert!(!home.path("nowhere").exists(), "looking makes nothing");
    assert_eq!(run(&["audit", "--store", &nowhere, "--sale", "No Id"]).0, 2);
    assert_eq!(run(&["audit", "--sale", "drop"]).0, 2);
}
