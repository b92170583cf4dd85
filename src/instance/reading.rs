//! Reading what operators write: documents, and patches of them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::room::settings::FieldError;

/// Reads a document, naming the field where it can't be one.
///
/// # Errors
/// The first field that can't be read; whether its value is allowed is for its `validate` to say.
pub fn read_document<D: DeserializeOwned>(value: Value) -> Result<D, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let detail = error.inner().to_string();
        let path = error.path().to_string();
        FieldError { field: named_field(&path, &detail), detail }
    })
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
        assert_eq!(field(with("allowed_hosts", json!(["a", 5]))), "allowed_hosts[1]");
        assert_eq!(field(with("id", json!("No Id"))), "id");
        assert_eq!(field(json!({"id": "main", "shop_url": "https://shop.example"})), "name");
        assert_eq!(field(json!([])), "");
    }
}
