//! The keys that sign tickets and passes: made at the first start, replaced by age, kept until the last thing they
//! signed is void.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Instance, OperateError, Options,
    documents::{self, Documents},
};
use crate::{
    store::{
        StoreError,
        catalog::{Expect, Kind},
    },
    time::UnixMs,
    token::{
        SigningKey,
        keys::{self, Plan, Policy, Purpose, Slot},
    },
};

/// How long without a rotation a policy of "never" is: longer than anyone runs anything.
const NEVER_MS: u64 = u64::MAX;

/// The keys of a ring. A purpose that the configuration gives keys for is signed with these alone; those of the
/// catalog still verify, so that a change of configuration voids no ticket in the line.
pub(super) fn in_force(configured: &[SigningKey], stored: &[SigningKey]) -> Vec<SigningKey> {
    let purposes = configured_purposes(configured);
    let verify_only = |key: &SigningKey| {
        let signs_from = if purposes.contains(&key.purpose) { UnixMs(u64::MAX) } else { key.signs_from };
        SigningKey { signs_from, ..key.clone() }
    };
    configured.iter().cloned().chain(stored.iter().map(verify_only)).collect()
}

fn configured_purposes(configured: &[SigningKey]) -> BTreeSet<Purpose> {
    configured.iter().map(|key| key.purpose).collect()
}

/// Does what is due about the stored keys.
pub(super) async fn keep(
    documents: &Documents,
    options: &Options,
    stored: &[SigningKey],
    now: UnixMs,
) -> Result<Plan, OperateError> {
    let rotate_every_ms = options.signing.rotate_after.map_or(NEVER_MS, as_ms);
    let mut plan = keys::plan(now, stored, Policy { rotate_every_ms });
    let configured = configured_purposes(&options.signing.keys);
    plan.publish.retain(|slot| !configured.contains(&slot.purpose));
    for slot in &plan.publish {
        publish(documents, *slot, now).await?;
    }
    if !plan.retire.is_empty() {
        retire(documents, &plan.retire).await?;
    }
    Ok(plan)
}

/// Removes these keys, under whatever names they stand.
async fn retire(documents: &Documents, kids: &[String]) -> Result<(), OperateError> {
    for entry in documents.list(0).await?.entries.unwrap_or_default() {
        let is_key = entry.kind == Kind::SigningKey;
        let key = is_key.then(|| documents::read::<SigningKey>(&entry)).flatten();
        if key.is_none_or(|key| !kids.contains(&key.kid)) {
            continue;
        }
        match documents.delete(Kind::SigningKey, entry.id, Expect::Any, 0).await {
            // Another instance was first.
            Ok(()) | Err(OperateError::Unknown) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the key of a slot, unless another instance made it meanwhile: then that one is the key.
async fn publish(documents: &Documents, slot: Slot, now: UnixMs) -> Result<(), OperateError> {
    let key = keys::generate(slot, now).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    match documents.put(Kind::SigningKey, key.document_id(), &key, Expect::Absent).await {
        Ok(_) => {
            tracing::info!(purpose = ?slot.purpose, generation = slot.generation, kid = key.kid, "made a signing key");
            Ok(())
        }
        Err(OperateError::Stale { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Instance {
    /// Renews and retires stored signing keys where it is time.
    pub(super) async fn keep_signing_keys(&self) -> Result<(), OperateError> {
        let stored = self.directory.load_full();
        let plan = keep(&self.documents, &self.options, &stored.signing, self.clock.now()).await?;
        if plan == Plan::default() { Ok(()) } else { self.refresh().await.map(drop) }
    }

    /// Replaces the key of every purpose now, whatever its age, without waiting for the next to be due: as after a leak
    /// is feared. The new keys sign when verifiers had time to learn them; the old ones verify until nothing they
    /// signed is good any more. Keys from the configuration are the configuration's to replace.
    ///
    /// # Errors
    /// A successor is already announced, or the store does not answer.
    pub async fn rotate_signing_keys(&self) -> Result<Vec<SigningKey>, OperateError> {
        let (directory, now) = (self.directory.load_full(), self.clock.now());
        let configured = configured_purposes(&self.options.signing.keys);
        let newest =
            |purpose| directory.signing.iter().filter(|key| key.purpose == purpose).max_by_key(|key| key.generation);
        let mine: Vec<_> = Purpose::ALL.into_iter().filter(|purpose| !configured.contains(purpose)).collect();
        if let Some(coming) = mine.iter().filter_map(|p| newest(*p)).find(|key| key.signs_from > now) {
            let detail = format!("the key {} is announced and does not sign yet: wait for it", coming.kid);
            return Err(OperateError::Conflict(detail));
        }
        for purpose in mine {
            let generation = newest(purpose).map_or(1, |key| key.generation + 1);
            publish(&self.documents, Slot { purpose, generation }, now).await?;
        }
        self.refresh().await?;
        Ok(self.signing_keys())
    }

    /// The signing keys of the catalog, announced and retiring ones too, by purpose and age.
    pub fn signing_keys(&self) -> Vec<SigningKey> {
        let mut keys = self.directory.load().signing.clone();
        keys.sort_by_key(|key| (key.purpose, key.generation));
        keys
    }
}
