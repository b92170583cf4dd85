//! The catalog on Redis. Every instance holds the whole of it in memory, applies commands there by the same code as the
//! embedded store, and writes what they changed, if nobody was first; whoever was not looks what changed, and applies
//! its commands once more. So there is one catalog machine, and the script knows nothing of it.
//!
//! A store that has lost its last moments, or everything, is told so by the token of the revision that an instance
//! remembers: then what both know is merged and written back before anything else is done. What one living instance has
//! seen acknowledged is not lost.

mod changes;

use tokio::sync::Mutex;

use self::changes::{Told, changes, read};
use super::wire::Args;
use crate::store::{
    StoreError,
    catalog::{Catalog, Command, Outcome},
};

/// The script.
pub(super) const SOURCE: &str = include_str!("lua/catalog.lua");

/// Its keys: all in one slot.
pub(super) const KEYS: [&str; 5] = ["{c}:main", "{c}:docs", "{c}:gone", "{c}:log", "{c}:tokens"];

/// How many revisions a sender may be late and is still told only what changed: each may be a deletion, and no more
/// deletions than these are remembered.
const TOKENS_KEPT: u64 = crate::store::catalog::TOMBSTONES_MAX as u64;

/// How often a call looks again because others wrote in between. Each time one of them got on, and operators are few.
const ROUNDS_MAX: usize = 50;

/// What this process remembers of the catalog, and the way it is kept up to the store.
#[derive(Default)]
pub(super) struct Remembered {
    /// Held during a call: the commands of one process come one after the other, and it never competes with itself.
    known: Mutex<Known>,
}

/// A catalog that the store had, and the token by which the store knows that again.
#[derive(Clone, Debug, Default)]
struct Known {
    catalog: Catalog,
    /// None before anything was written.
    token: Option<String>,
}

impl Remembered {
    /// Applies commands to the catalog, in order and all at once. `call` sends the script its arguments; where it fails
    /// nothing is remembered, and it is not known whether anything was written.
    pub async fn apply<F>(
        &self,
        commands: &[Command],
        call: impl Fn(Args) -> F + Send + Sync,
    ) -> Result<Vec<Outcome>, StoreError>
    where
        F: Future<Output = Result<Vec<u8>, StoreError>> + Send,
    {
        let mut known = self.known.lock().await;
        for _ in 0..ROUNDS_MAX {
            let mut next = known.catalog.clone();
            let outcomes = commands.iter().map(|command| next.apply(command)).collect();
            let (asked, wanted) = ask(&known, next);
            let answer = call(asked).await?;
            match read(&answer)? {
                Told::Same => {
                    *known = wanted;
                    return Ok(outcomes);
                }
                Told::News(news) => {
                    known.catalog.learn(news.changes, news.revision, news.retired_epoch);
                    known.token = news.token;
                }
                Told::All(all) => {
                    let mut stored = Known { catalog: Catalog::default(), token: all.token };
                    stored.catalog.learn(all.changes, all.revision, all.retired_epoch);
                    *known = reconcile(&known, stored, &call).await?;
                }
            }
        }
        Err(StoreError::Overloaded)
    }

    /// What is remembered.
    #[cfg(test)]
    pub async fn catalog(&self) -> Catalog {
        self.known.lock().await.catalog.clone()
    }
}

/// Brings together what is remembered and what is stored. Whoever writes in between is met in the next round.
async fn reconcile<F>(known: &Known, stored: Known, call: impl Fn(Args) -> F + Send + Sync) -> Result<Known, StoreError>
where
    F: Future<Output = Result<Vec<u8>, StoreError>> + Send,
{
    let merged = known.catalog.merge(&stored.catalog);
    if merged == stored.catalog {
        return Ok(stored);
    }
    tracing::warn!(
        stored = stored.catalog.revision(),
        remembered = known.catalog.revision(),
        "the store has lost documents that are remembered here, and is told them"
    );
    let (asked, wanted) = ask(&stored, merged);
    let answer = call(asked).await?;
    match read(&answer)? {
        Told::Same => Ok(wanted),
        // What is remembered here is not in the store yet: to be merged once more.
        Told::News(_) | Told::All(_) => Ok(known.clone()),
    }
}

/// The question whether `known` is the latest, and the wish that `next` be written if so.
fn ask(known: &Known, next: Catalog) -> (Args, Known) {
    let mut args = Args::default();
    args.word(known.catalog.revision()).word(known.token.as_deref().unwrap_or("-"));
    if next == known.catalog {
        args.word("-").word("-").word("-").word(0).word(0);
        return (args, known.clone());
    }
    let token = format!("{:032x}", rand::random::<u128>());
    let changes = changes(&known.catalog, &next);
    let oldest = next.revision().saturating_sub(TOKENS_KEPT);
    args.word(next.revision()).word(&token).word(next.retired_epoch()).word(oldest).word(changes.len());
    changes.iter().for_each(|change| change.write(&mut args));
    (args, Known { catalog: next, token: Some(token) })
}
