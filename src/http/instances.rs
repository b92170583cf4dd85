//! Which instances run.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use super::{Context, auth::Read, documents::private, endpoint, problem::Problem};
use crate::{instance::InstanceInfo, room::settings::Timestamp};

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/instances").get(list).register(config);
}

async fn list(_key: Read, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let instances = context.instance.instances().await?;
    let instances: Vec<Value> = instances.iter().map(describe).collect();
    Ok(private(HttpResponse::Ok()).json(json!({ "instances": instances })))
}

fn describe(instance: &InstanceInfo) -> Value {
    let time = |at| String::from(Timestamp(at));
    let rooms: Map<String, Value> =
        instance.rooms.iter().map(|(id, version)| (id.to_string(), (*version).into())).collect();
    json!({
        "id": instance.id,
        "build": instance.build,
        "started_at": time(instance.started),
        "last_seen_at": time(instance.last_seen),
        "rooms": rooms,
    })
}
