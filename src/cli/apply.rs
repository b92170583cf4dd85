//! `dropgate apply`: brings the rooms and sales of a running installation to what a configuration file says.

use std::path::PathBuf;

use clap::Args;
use reqwest::{Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Failure,
    check::tell_notes,
    remote::{Answer, KeyArguments, Remote},
};
use crate::{
    config::{self, PublicUrl},
    room, sale,
};

#[derive(Args)]
pub struct Arguments {
    /// The file whose `[[rooms]]` and `[[sales]]` are applied.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The installation's address (that of its admin listener where it has one), like `https://line.shop.example`.
    #[arg(long)]
    url: PublicUrl,
    #[command(flatten)]
    key: KeyArguments,
}

/// Creates what is missing and updates what differs; rooms and sales that the file does not name stay as they are.
pub async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = config::load_file(&arguments.config)?;
    if config.rooms.is_empty() && config.sales.is_empty() {
        return Err(Failure::Usage(format!("{} declares neither rooms nor sales", arguments.config.display())));
    }
    let remote = Remote::new(arguments.url.clone(), Some(arguments.key.read()?))?;
    tell_notes(&arguments.config, &config);
    // Sales first: a room may be about to let people in to them.
    for sale in &config.sales {
        let declared = Declared::sale(sale);
        println!("sale {}: {}", sale.id, declared.apply(&remote).await?);
    }
    for room in &config.rooms {
        let declared = Declared::room(room);
        println!("room {}: {}", room.id, declared.apply(&remote).await?);
    }
    Ok(())
}

/// One document of the file.
struct Declared {
    /// `room` or `sale`.
    kind: &'static str,
    id: String,
    path: String,
    wanted: Map<String, Value>,
    /// The same fields as an installation answers them; none where it answers something else.
    found: fn(&Value) -> Option<Map<String, Value>>,
}

impl Declared {
    fn room(document: &room::Document) -> Self {
        let (id, wanted) = (document.id.to_string(), fields(document));
        Self { kind: "room", path: format!("/v1/rooms/{id}"), id, wanted, found: as_written::<room::Document> }
    }

    fn sale(document: &sale::Document) -> Self {
        let (id, wanted) = (document.id.to_string(), fields(document));
        // Its address shows the sale as it is; the document is a part of that.
        let found = |answer: &Value| as_written::<sale::Document>(answer.get("document")?);
        Self { kind: "sale", path: format!("/v1/sales/{id}"), id, wanted, found }
    }

    /// Brings the installation to this document; what changed, as a line.
    async fn apply(&self, remote: &Remote) -> Result<String, Failure> {
        let found = remote.send(remote.call(Method::GET, &self.path)).await?;
        match found.status {
            StatusCode::NOT_FOUND if self.is_unknown(&found) => {
                let made = remote.send(remote.call(Method::PUT, &self.path).json(&self.wanted)).await?;
                if made.status.is_success() { Ok("created".to_owned()) } else { Err(self.failed(&made)) }
            }
            StatusCode::OK => {
                let changes = changes(&(self.found)(&found.body).unwrap_or_default(), &self.wanted);
                if changes.is_empty() {
                    return Ok("unchanged".to_owned());
                }
                // Only what was compared is replaced: someone else's change in between is a conflict, not a loss.
                let put = remote.call(Method::PUT, &self.path).json(&self.wanted);
                let put = found.etag.iter().fold(put, |put, etag| put.header(header::IF_MATCH, etag));
                let updated = remote.send(put).await?;
                if updated.status.is_success() { Ok(changes.join(", ")) } else { Err(self.failed(&updated)) }
            }
            _ => Err(self.failed(&found)),
        }
    }

    /// A 404 that speaks of the room or sale, and not one of a server that knows no such call.
    fn is_unknown(&self, answer: &Answer) -> bool {
        let expected = format!("urn:dropgate:unknown_{}", self.kind);
        answer.body.get("type").and_then(Value::as_str) == Some(expected.as_str())
    }

    fn failed(&self, answer: &Answer) -> Failure {
        Failure::Failed(format!("{} {}: {}", self.kind, self.id, answer.problem()))
    }
}

/// The fields of a document as it would be written here: through the type, so that a default left out and one spelled
/// out are the same.
fn as_written<D: Serialize + DeserializeOwned>(found: &Value) -> Option<Map<String, Value>> {
    let mut found = found.clone();
    found.as_object_mut()?.remove("version");
    serde_json::from_value::<D>(found).ok().map(|document| fields(&document))
}

fn fields<D: Serialize>(document: &D) -> Map<String, Value> {
    match serde_json::to_value(document) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The fields that differ, as `name: before → after`; of the items of a sale those that do, by their SKU.
fn changes(found: &Map<String, Value>, wanted: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, after) in wanted {
        let before = found.get(name).unwrap_or(&Value::Null);
        match (name.as_str(), before, after) {
            _ if before == after => {}
            ("items", Value::Array(before), Value::Array(after)) => lines.extend(item_changes(before, after)),
            _ => lines.push(format!("{name}: {before} → {after}")),
        }
    }
    lines
}

fn item_changes(before: &[Value], after: &[Value]) -> Vec<String> {
    let sku = |item: &Value| item.get("sku").and_then(Value::as_str).unwrap_or_default().to_owned();
    let of = |items: &[Value], name: &str| items.iter().find(|item| sku(item) == name).cloned();
    let mut lines = Vec::new();
    for item in after {
        let name = sku(item);
        match of(before, &name) {
            None => lines.push(format!("{name}: added")),
            Some(found) => {
                let lines_of_item = changes(&fields(&found), &fields(item));
                lines.extend(lines_of_item.into_iter().map(|line| format!("{name}.{line}")));
            }
        }
    }
    let gone = before.iter().map(sku).filter(|name| of(after, name).is_none());
    lines.extend(gone.map(|name| format!("{name}: removed")));
    if lines.is_empty() { vec!["items: in another order".to_owned()] } else { lines }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_told_field_by_field_and_item_by_item() {
        let item = |sku: &str, total: u64| json!({ "sku": sku, "name": "A", "total": total });
        let told = |before: Value, after: Value| changes(&fields(&before), &fields(&after)).join(", ");
        assert_eq!(told(json!({ "hold": 5, "name": "A" }), json!({ "hold": 6, "name": "A" })), "hold: 5 → 6");
        let (one, two) =
            (json!({ "items": [item("a", 1), item("b", 2)] }), json!({ "items": [item("b", 3), item("c", 1)] }));
        assert_eq!(told(one.clone(), two), "b.total: 2 → 3, c: added, a: removed");
        assert_eq!(told(one.clone(), json!({ "items": [item("b", 2), item("a", 1)] })), "items: in another order");
        assert_eq!(told(one.clone(), one), "");
    }
}
