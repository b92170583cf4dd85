//! Reading what operators write: documents, and patches of them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::room::settings::FieldError;

/// Reads a document, naming the field where it can't be one.
///
/// # Errors
/// The first field that can't be read; whether its value is allowed is for its `validate` to say.
pub fn read_document<D: Serialize + DeserializeOwned>(value: Value) -> Result<D, FieldError> {
    let document: D = serde_path_to_error::deserialize(&value).map_err(|error| {
        let detail = error.inner().to_string();
        let path = error.path().to_string();
        FieldError { field: named_field(&path, &detail), detail }
    })?;
    let refuse = |detail: String, field: String| FieldError { field, detail };
    let read = serde_json::to_value(&document).map_err(|error| refuse(error.to_string(), String::new()))?;
    list_for_object(&value, &read, String::new())
        .map_or(Ok(document), |field| Err(refuse("must be an object".to_owned(), field)))
}

/// Where a document has a list and was `read` as an object all the same: serde reads a struct from a list of its fields'
/// values as well, which nobody means to write.
fn list_for_object(sent: &Value, read: &Value, path: String) -> Option<String> {
    match (sent, read) {
        (Value::Array(_), Value::Object(_)) => Some(path),
        (Value::Array(sent), Value::Array(read)) => sent
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(at, (sent, read))| list_for_object(sent, read, format!("{path}[{at}]"))),
        (Value::Object(sent), Value::Object(read)) => sent.iter().find_map(|(name, sent)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            list_for_object(sent, read.get(name)?, path)
        }),
        _ => None,
    }
}

/// The field an error is about. Serde tells an unknown or missing one in its words and not in its path.
fn named_field(path: &str, detail: &str) -> String {
    let quoted = ["unknown field `", "missing field `"]
        .iter()
        .find_map(|words| detail.strip_prefix(words)?.split_once('`').map(|(field, _)| field));
    match (path, quoted) {
        ("." | "", Some(field)) => field.to_owned(),
        // Newer versions of the library name the unknown field in the path already.
        (path, Some(field)) if path == field || path.ends_with(&format!(".{field}")) => path.to_owned(),
        (path, Some(field)) => format!("{path}.{field}"),
        ("." | "", None) => String::new(),
        (path, None) => path.to_owned(),
    }
}

/// A document changed by a merge patch (RFC 7396): a `null` takes the default.
pub(super) fn patched<D: Serialize + DeserializeOwned>(document: &D, patch: &Value) -> Result<D, FieldError> {
    let refuse = |field: &str, detail: String| FieldError { field: field.to_owned(), detail };
    let mut value = serde_json::to_value(document).map_err(|error| refuse("", error.to_string()))?;
    if !patch.is_object() {
        return Err(refuse("", "must be an object".to_owned()));
    }
    if patch.get("id").is_some_and(|id| *id != value["id"]) {
        return Err(refuse("id", "can't be changed".to_owned()));
    }
    json_patch::merge(&mut value, patch);
    read_document(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::room::Document;

    #[test]
    fn a_document_that_cannot_be_read_names_the_field() {
        let field = |value| read_document::<Document>(value).expect_err("a bad document").field;
        let good = json!({"id": "main", "name": "Main", "shop_url": "https://shop.example"});
        assert!(read_document::<Document>(good.clone()).is_ok());
        let with = |name: &str, value: Value| {
            let mut document = good.clone();
            document[name] = value;
            document
        };
        assert_eq!(field(with("rate", json!(5))), "rate");
        assert_eq!(field(with("rate_per_minute", json!("fast"))), "rate_per_minute");
        assert_eq!(field(with("rate_per_minute", json!(-1))), "rate_per_minute");
        assert_eq!(field(with("mode", json!("shut"))), "mode");
        assert_eq!(field(with("page", json!({"titel": "x"}))), "page.titel");
        assert_eq!(field(with("page", json!(["x"]))), "page");
        let sale = json!({"id": "drop", "name": "Drop", "items": [["a", "A", 5]]});
        assert_eq!(read_document::<crate::sale::Document>(sale).expect_err("a list").field, "items[0]");
        assert_eq!(field(with("allowed_hosts", json!(["a", 5]))), "allowed_hosts[1]");
        assert_eq!(field(with("id", json!("No Id"))), "id");
        assert_eq!(field(json!({"id": "main", "shop_url": "https://shop.example"})), "name");
        assert_eq!(field(json!([])), "");
    }
}
