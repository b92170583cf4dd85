//! What a file says that is allowed and yet may be a slip: ids that it does not declare itself.

use std::{collections::BTreeSet, path::Path};

use super::{
    Config,
    load::{ConfigError, Origin},
    locate::line_of,
};

/// What to look at once more. A room or sale of another file, or made by a call, is rightly not declared in this one.
pub fn notes(path: &Path, config: &Config) -> Vec<ConfigError> {
    // A file that could be loaded just now; if not any more, the notes go without lines.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let note = |(key, detail): (String, String)| {
        let line = line_of(&text, &key);
        ConfigError { origin: Origin::File { path: path.to_owned(), line }, key, detail }
    };
    let rooms: BTreeSet<&str> = config.rooms.iter().map(|room| room.id.as_str()).collect();
    let sales: BTreeSet<&str> = config.sales.iter().map(|sale| sale.id.as_str()).collect();
    let mut found = Vec::new();
    for (i, sale) in config.sales.iter().enumerate() {
        for (j, room) in sale.requires_pass.iter().enumerate() {
            if !rooms.contains(room.as_str()) {
                let detail = format!("this file declares no room `{room}`: without one nobody can reserve by a pass");
                found.push((format!("sales[{i}].requires_pass[{j}]"), detail));
            }
        }
    }
    for (i, room) in config.rooms.iter().enumerate() {
        if let Some(sale) = room.sale.as_ref().filter(|sale| !sales.contains(sale.as_str())) {
            found.push((format!("rooms[{i}].sale"), format!("this file declares no sale `{sale}`")));
        }
    }
    found.into_iter().map(note).collect()
}
