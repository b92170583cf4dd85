//! The yardstick of batching: a bare handler that asks Redis once a request, over a connection that is its own meanwhile,
//! for the least that a reservation is.

use std::{fs, io, path::Path, sync::Mutex};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Bytes, Data},
};
use redis::{Client, Script, aio::MultiplexedConnection};
use serde_json::Value;

use super::server::{LEAST_KEYS, least};
use crate::bare::Answer;

struct Shop {
    client: Client,
    /// Those not in use. Nothing is asked of one before it is used again, as pools do: that would cost another trip.
    idle: Mutex<Vec<MultiplexedConnection>>,
    script: Script,
    answer: Answer,
}

/// Serves on a free port until killed; answers with the answer in `file`.
pub async fn serve(url: &str, file: &Path) -> io::Result<()> {
    let client = Client::open(url).map_err(io::Error::other)?;
    let answer = serde_json::from_slice(&fs::read(file)?)?;
    let shop = Data::new(Shop { client, idle: Mutex::default(), script: least(), answer });
    let server = HttpServer::new(move || App::new().app_data(shop.clone()).default_service(web::to(reserve)))
        .bind("127.0.0.1:0")?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await
}

async fn reserve(shop: Data<Shop>, body: Bytes) -> Result<HttpResponse, actix_web::Error> {
    let asked: Value = serde_json::from_slice(&body)?;
    let buyer = asked["buyer"].as_str().unwrap_or_default();
    let idle = shop.idle.lock().expect("nobody panics in it").pop();
    let unavailable = actix_web::error::ErrorServiceUnavailable::<redis::RedisError>;
    let mut connection = match idle {
        Some(connection) => connection,
        None => shop.client.get_multiplexed_async_connection().await.map_err(unavailable)?,
    };
    let mut call = shop.script.prepare_invoke();
    LEAST_KEYS.iter().for_each(|key| _ = call.key(*key));
    let told: String = call.arg(buyer).arg(buyer).invoke_async(&mut connection).await.map_err(unavailable)?;
    shop.idle.lock().expect("nobody panics in it").push(connection);
    if told == "sold_out" {
        return Ok(HttpResponse::Conflict().finish());
    }
    let mut response = HttpResponse::build(StatusCode::CREATED);
    for (name, value) in &shop.answer.headers {
        response.append_header((name.as_str(), value.as_str()));
    }
    Ok(response.body(shop.answer.body.clone()))
}
