//! The yardstick of batching: a bare handler that asks Redis once a request, over a connection that is its own meanwhile,
//! by the server's own script or by the least that a reservation is.

use std::{
    fs, io,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Bytes, Data},
};
use redis::{Client, Script, aio::MultiplexedConnection};
use serde_json::Value;

use super::{
    overheard::{Caller, Overheard},
    server::{LEAST_KEYS, least},
};
use crate::bare::Answer;

struct Shop {
    client: Client,
    /// Those not in use. Nothing is asked of one before it is used again, as pools do: that would cost another trip.
    idle: Mutex<Vec<Way>>,
    opened: AtomicU32,
    script: Calls,
    answer: Answer,
}

/// What is called.
enum Calls {
    Least(Script),
    Own(Box<Overheard>),
}

/// A connection, and who calls over it: batches of one caller have to come in order.
struct Way {
    connection: MultiplexedConnection,
    caller: Caller,
}

/// Serves on a free port until killed; answers with the answer in `file`.
pub async fn serve(url: &str, overheard: Option<&Path>, file: &Path) -> io::Result<()> {
    let client = Client::open(url).map_err(io::Error::other)?;
    let answer = serde_json::from_slice(&fs::read(file)?)?;
    let script = match overheard {
        Some(file) => Calls::Own(Box::new(serde_json::from_slice(&fs::read(file)?)?)),
        None => Calls::Least(least()),
    };
    let shop = Data::new(Shop { client, idle: Mutex::default(), opened: AtomicU32::new(0), script, answer });
    let server = HttpServer::new(move || App::new().app_data(shop.clone()).default_service(web::to(reserve)))
        .bind("127.0.0.1:0")?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await
}

async fn reserve(shop: Data<Shop>, body: Bytes) -> Result<HttpResponse, actix_web::Error> {
    let asked: Value = serde_json::from_slice(&body)?;
    let buyer = asked["buyer"].as_str().unwrap_or_default();
    let unavailable = actix_web::error::ErrorServiceUnavailable::<redis::RedisError>;
    let mut way = shop.way().await.map_err(unavailable)?;
    let told: String = match &shop.script {
        Calls::Own(overheard) => {
            overheard.call(&mut way.caller, 1).query_async(&mut way.connection).await.map_err(unavailable)?
        }
        Calls::Least(script) => {
            let mut call = script.prepare_invoke();
            LEAST_KEYS.iter().for_each(|key| _ = call.key(*key));
            call.arg(buyer).arg(buyer).invoke_async(&mut way.connection).await.map_err(unavailable)?
        }
    };
    shop.idle.lock().expect("nobody panics in it").push(way);
    if told == "sold_out" {
        return Ok(HttpResponse::Conflict().finish());
    }
    let mut response = HttpResponse::build(StatusCode::CREATED);
    for (name, value) in &shop.answer.headers {
        response.append_header((name.as_str(), value.as_str()));
    }
    Ok(response.body(shop.answer.body.clone()))
}

impl Shop {
    /// A way that nobody else goes meanwhile.
    async fn way(&self) -> redis::RedisResult<Way> {
        let idle = self.idle.lock().expect("nobody panics in it").pop();
        if let Some(way) = idle {
            return Ok(way);
        }
        let connection = self.client.get_multiplexed_async_connection().await?;
        let caller = Caller::new(std::process::id(), self.opened.fetch_add(1, Ordering::Relaxed));
        Ok(Way { connection, caller })
    }
}
