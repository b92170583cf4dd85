use std::{collections::BTreeSet, fs, path::Path};

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::text;
use crate::http::{Surface, endpoint::tests::REGISTERED, testing::Bench};

/// Set, a run writes the document into the tree instead of comparing.
const UPDATE: &str = "DROPGATE_UPDATE_OPENAPI";

fn document() -> Value {
    serde_json::from_str(text()).unwrap()
}

#[test]
fn the_document_in_the_tree_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, text()).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == text(), "openapi.json is behind the code: run this test once with {UPDATE}=1");
}

#[actix_web::test]
async fn every_address_that_is_served_is_described_and_no_other() {
    let bench = Bench::new().await;
    for surface in [Surface::All, Surface::Public, Surface::Admin] {
        bench.send(surface, TestRequest::get().uri("/openapi.json")).await;
    }
    let served: BTreeSet<String> = REGISTERED
        .with_borrow(Clone::clone)
        .into_iter()
        .filter(|call| !call.starts_with("HEAD ") && !call.starts_with("OPTIONS "))
        .collect();
    let document = document();
    let mut described = BTreeSet::new();
    // The gate's doors take any method and path: no list of theirs is there to compare with.
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("/gate/")) {
        described.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert_eq!(described, served);
}

#[test]
fn the_described_room_is_the_real_one() {
    let room = json!({ "id": "main", "name": "Main", "shop_url": "https://shop.example/" });
    let room: crate::room::Document = crate::instance::read_document(room).unwrap();
    let mut real = serde_json::to_value(&room).unwrap();
    real["version"] = 1.into();
    let document = document();
    let described = &document["components"]["schemas"]["RoomDocument"];
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&described["properties"]), names(&real));
    assert_eq!(described["required"], json!(["name", "shop_url"]));
    for (name, property) in described["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            assert_eq!(&real[name], default, "{name}");
        }
    }
    assert_eq!(names(&described["properties"]["page"]["properties"]), names(&real["page"]));
}

#[test]
fn the_described_sale_is_the_real_one() {
    let item = json!({ "sku": "a", "name": "A", "total": 1 });
    let sale: crate::sale::Document =
        crate::instance::read_document(json!({ "id": "drop", "name": "Drop", "items": [item] })).unwrap();
    let mut real = serde_json::to_value(&sale).unwrap();
    real["version"] = 1.into();
    let document = document();
    let described = &document["components"]["schemas"]["SaleDocument"];
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&described["properties"]), names(&real));
    assert_eq!(described["required"], json!(["name", "items"]));
    for (name, property) in described["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            assert_eq!(&real[name], default, "{name}");
        }
    }
    assert_eq!(names(&described["properties"]["items"]["items"]["properties"]), names(&real["items"][0]));
}

#[test]
fn every_error_is_a_problem_and_every_operator_call_names_its_scope() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_error = status.starts_with(['4', '5']);
                assert!(!is_error || response.get("content").is_some(), "{method} {path} {status}");
            }
            let guarded = operation["responses"].get("401").is_some()
                && path.starts_with("/v1/")
                && operation["tags"] != json!(["line"]);
            assert_eq!(guarded || path == "/metrics", operation.get("security").is_some(), "{method} {path}");
        }
    }
    assert_eq!(document["openapi"], "3.1.0");
}
