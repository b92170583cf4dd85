//! `dropgate apply`: brings the rooms of a running installation to what a configuration file says.

use std::path::PathBuf;

use clap::Args;
use reqwest::{Method, StatusCode, header};
use serde_json::{Map, Value};

use super::{
    Failure,
    remote::{Answer, KeyArguments, Remote},
};
use crate::{
    config::{self, PublicUrl},
    room::Document,
};

#[derive(Args)]
pub struct Arguments {
    /// The file whose `[[rooms]]` are applied.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The installation's address (that of its admin listener where it has one), like `https://line.shop.example`.
    #[arg(long)]
    url: PublicUrl,
    #[command(flatten)]
    key: KeyArguments,
}

/// Creates what is missing and updates what differs; rooms that the file does not name stay as they are.
pub async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rooms = config::load_file(&arguments.config)?.rooms;
    if rooms.is_empty() {
        return Err(Failure::Usage(format!("{} declares neither rooms nor sales", arguments.config.display())));
    }
    let remote = Remote::new(arguments.url.clone(), Some(arguments.key.read()?))?;
    for room in &rooms {
        println!("room {}: {}", room.id, apply_room(&remote, room).await?);
    }
    Ok(())
}

/// Brings one room to its document; what changed, as a line.
async fn apply_room(remote: &Remote, room: &Document) -> Result<String, Failure> {
    let path = format!("/v1/rooms/{}", room.id);
    let failed = |answer: &Answer| Failure::Failed(format!("room {}: {}", room.id, answer.problem()));
    let put = |if_match: Option<&str>| {
        let request = remote.call(Method::PUT, &path).json(room);
        remote.send(match if_match {
            Some(version) => request.header(header::IF_MATCH, version),
            None => request,
        })
    };
    let found = remote.send(remote.call(Method::GET, &path)).await?;
    match found.status {
        StatusCode::NOT_FOUND if is_unknown_room(&found) => {
            let made = put(None).await?;
            if made.status.is_success() { Ok("created".to_owned()) } else { Err(failed(&made)) }
        }
        StatusCode::OK => {
            let changes = changes(found.body.clone(), room);
            if changes.is_empty() {
                return Ok("unchanged".to_owned());
            }
            // Only what was compared is replaced: someone else's change in between is a conflict, not a loss.
            let updated = put(found.etag.as_deref()).await?;
            if updated.status.is_success() { Ok(changes.join(", ")) } else { Err(failed(&updated)) }
        }
        _ => Err(failed(&found)),
    }
}

/// A 404 that speaks of the room, and not one of a server that knows no such call.
fn is_unknown_room(answer: &Answer) -> bool {
    answer.body.get("type").and_then(Value::as_str) == Some("urn:dropgate:unknown_room")
}

/// The fields that differ, as `name: before → after`.
fn changes(mut found: Value, wanted: &Document) -> Vec<String> {
    if let Some(fields) = found.as_object_mut() {
        fields.remove("version");
    }
    // Through the type, so that a default left out and one spelled out are the same.
    let found = serde_json::from_value::<Document>(found).ok();
    let (found, wanted) = (found.as_ref().map(fields).unwrap_or_default(), fields(wanted));
    let is_new = |(name, after): &(&String, &Value)| found.get(name.as_str()) != Some(*after);
    let line = |(name, after): (&String, &Value)| {
        format!("{name}: {} → {after}", found.get(name.as_str()).unwrap_or(&Value::Null))
    };
    wanted.iter().filter(is_new).map(line).collect()
}

fn fields(document: &Document) -> Map<String, Value> {
    match serde_json::to_value(document) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}
