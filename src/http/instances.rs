//! Which instances run.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Shared, auth::Read, documents::private, endpoint, problem::Problem};
use crate::{room::settings::Timestamp, store::instances::InstanceRow};

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/instances").get(list).register(config);
}

/// A running `dropgate serve`.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceShown {
    #[schema(value_type = String)]
    pub id: Uuid,
    pub build: String,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// The version of each room's settings that it obeys.
    #[schema(value_type = Object, example = json!({"main": 7}))]
    pub rooms: BTreeMap<String, u64>,
    /// The same of each sale.
    #[schema(value_type = Object, example = json!({"autumn": 9}))]
    pub sales: BTreeMap<String, u64>,
}

/// Every running instance.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceList {
    pub instances: Vec<InstanceShown>,
}

#[utoipa::path(get, path = "/v1/instances", tag = "operators", operation_id = "listInstances",
    security(("api_key" = ["read"])),
    responses((status = 200, description = "Every running instance", body = InstanceList),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn list(_key: Read, context: Shared) -> Result<HttpResponse, Problem> {
    let instances = context.instance.instances().await?.into_iter().map(InstanceShown::of).collect();
    Ok(private(HttpResponse::Ok()).json(InstanceList { instances }))
}

impl InstanceShown {
    fn of(InstanceRow { announcement: instance, last_seen }: InstanceRow) -> Self {
        Self {
            id: instance.id,
            build: instance.build,
            started_at: Timestamp(instance.started),
            last_seen_at: Timestamp(last_seen),
            rooms: instance.rooms.into_iter().map(|(id, version)| (id.to_string(), version)).collect(),
            sales: instance.sales.into_iter().map(|(id, version)| (id.to_string(), version)).collect(),
        }
    }
}
