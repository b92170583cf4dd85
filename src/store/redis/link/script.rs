//! A Lua script, known to a server by the hash of its source.

/// A script: its source, and what `EVALSHA` calls it by.
#[derive(Debug)]
pub struct Script {
    source: String,
    sha1: String,
}

impl Script {
    /// The script that these fragments make, one after the other. Meant for a `LazyLock`: it hashes the source.
    pub fn new(fragments: &[&str]) -> Self {
        let source = fragments.join("\n");
        let sha1 = redis::Script::new(&source).get_hash().to_owned();
        Self { source, sha1 }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn sha1(&self) -> &str {
        &self.sha1
    }
}
