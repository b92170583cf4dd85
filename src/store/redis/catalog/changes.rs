//! What goes to the catalog's script and comes back: documents and deletions by their names.

use crate::store::{
    catalog::{Catalog, Change, Entry, Kind, Name},
    redis::wire::{Args, Misread, Parts, Words},
};

/// A change as the script takes it.
pub(super) enum Write<'a> {
    Document(&'a Entry),
    Deletion(&'a Name, u64),
    /// A deletion that is no longer remembered.
    Forgotten(&'a Name),
}

/// An answer.
pub(super) enum Told {
    /// The sender knew the latest, and what it wished to write is written.
    Same,
    /// What has changed since then.
    News(Stored),
    /// Everything: the sender remembers something else, or knew nothing.
    All(Stored),
}

pub(super) struct Stored {
    pub revision: u64,
    pub token: Option<String>,
    pub retired_epoch: u64,
    pub changes: Vec<Change>,
}

/// What makes `next` of `before`.
pub(super) fn changes<'a>(before: &'a Catalog, next: &'a Catalog) -> Vec<Write<'a>> {
    let documents = next.entries().iter().filter(|(name, entry)| before.entries().get(*name) != Some(*entry));
    let deletions = next.tombstones().iter().filter(|(name, version)| before.tombstones().get(*name) != Some(*version));
    let is_forgotten = |name: &&Name| !next.tombstones().contains_key(*name) && !next.entries().contains_key(*name);
    let forgotten = before.tombstones().keys().filter(is_forgotten);
    let documents = documents.map(|(_, entry)| Write::Document(entry));
    let deletions = deletions.map(|(name, version)| Write::Deletion(name, *version));
    documents.chain(deletions).chain(forgotten.map(Write::Forgotten)).collect()
}

impl Write<'_> {
    pub fn write(&self, args: &mut Args) {
        match self {
            Self::Document(entry) => args.word("doc").word(name(entry.kind, &entry.id)).word(document(entry)),
            Self::Deletion((kind, id), version) => args.word("gone").word(name(*kind, id)).word(version),
            Self::Forgotten((kind, id)) => args.word("forget").word(name(*kind, id)).word(""),
        };
    }
}

fn name(kind: Kind, id: &str) -> String {
    let kind = match kind {
        Kind::Room => "room",
        Kind::Sale => "sale",
        Kind::ApiKey => "api-key",
        Kind::SigningKey => "signing-key",
    };
    format!("{kind}:{id}")
}

fn read_name(text: &str) -> Result<Name, Misread> {
    let kind = |word| match word {
        "room" => Some(Kind::Room),
        "sale" => Some(Kind::Sale),
        "api-key" => Some(Kind::ApiKey),
        "signing-key" => Some(Kind::SigningKey),
        _ => None,
    };
    let name = text.split_once(':').and_then(|(word, id)| Some((kind(word)?, id.to_owned())));
    name.ok_or_else(|| Misread(text.to_owned()))
}

fn document(entry: &Entry) -> String {
    format!("{} {} {} {}", entry.version, entry.first_epoch, u8::from(entry.made), entry.body)
}

fn read_document((kind, id): Name, text: &str) -> Result<Entry, Misread> {
    let mut words = Words::of(text);
    let (version, first_epoch, made) = (words.parse()?, words.parse()?, words.parse::<u8>()? != 0);
    Ok(Entry { kind, id, version, first_epoch, made, body: words.rest().to_owned() })
}

/// Reads an answer.
pub(super) fn read(answer: &[u8]) -> Result<Told, Misread> {
    let mut parts = Parts::of(answer);
    match parts.next()? {
        "same" => Ok(Told::Same),
        "news" => Ok(Told::News(read_stored(&mut parts)?)),
        "all" => Ok(Told::All(read_stored(&mut parts)?)),
        other => Err(Misread(other.to_owned())),
    }
}

fn read_stored(parts: &mut Parts<'_>) -> Result<Stored, Misread> {
    let revision = parts.parse()?;
    let token = Some(parts.next()?).filter(|token| *token != "-").map(str::to_owned);
    let retired_epoch = parts.parse()?;
    let mut changes = Vec::new();
    while !parts.is_empty() {
        let (what, name) = (parts.next()?, parts.next()?);
        let name = read_name(name)?;
        changes.push(match what {
            "doc" => Change::Document(read_document(name, parts.next()?)?),
            "gone" => Change::Deletion(name, parts.parse()?),
            other => return Err(Misread(other.to_owned())),
        });
    }
    Ok(Stored { revision, token, retired_epoch, changes })
}
