//! The audit of a sale: its outbox, folded from the oldest event kept, must give its stock, and so must its reservations.

use super::{SaleReply, Store, StoreError};
use crate::{
    id::SaleId,
    sale::{
        Command, Event, EventKind, Outcome, View,
        audit::{Difference, Ledger},
        books::Walk,
    },
};

/// The events read at a time: enough for a hundred calls to read all that are kept.
const PAGE: usize = 1_000;

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    pub sale: SaleId,
    /// The stock at event `view.seq`.
    pub view: View,
    /// The first event folded: 1, or that of a checkpoint where the past before it was trimmed.
    pub first_seq: u64,
    /// How many events were folded.
    pub events: u64,
    /// The reservations, and where they do not agree with the books.
    pub walk: Walk,
    /// Where the events do not agree with the stock.
    pub fold: Result<(), Difference>,
}

impl AuditReport {
    /// Whether everything agrees.
    pub fn is_clean(&self) -> bool {
        self.fold.is_ok() && self.walk.differences.is_empty()
    }

    /// All that does not agree, the fold first.
    pub fn differences(&self) -> impl Iterator<Item = &Difference> {
        self.fold.as_ref().err().into_iter().chain(&self.walk.differences)
    }
}

/// The fold under way.
struct Fold {
    /// The store's term: what it loses when that changes, the fold has to forget.
    term: u64,
    ledger: Ledger,
    first_seq: u64,
    events: u64,
    result: Result<(), Difference>,
}

/// Audits a sale, which may be in service meanwhile: it is read page by page, and compared as of one event. None where
/// there is no such sale. The walk over all reservations takes the store about a microsecond each, in which it does
/// nothing else.
///
/// # Errors
/// The store does not answer.
pub async fn audit_sale<S: Store>(store: &S, sale: SaleId) -> Result<Option<AuditReport>, StoreError> {
    let Some(mut fold) = fold_pages(store, &sale).await? else { return Ok(None) };
    // The rest of the events and the stock in one batch, which is of one moment.
    let rest = Command::Events { after: fold.ledger.seq(), term: fold.term, limit: usize::MAX };
    let reply = store.sale(sale.clone(), vec![rest, Command::Items, Command::Walk]).await?;
    let (term, outcomes) = (term_of(&reply), reply.outcomes);
    let [Outcome::Events(events), Outcome::Items(view), Outcome::Walked(walk)] = &outcomes[..] else {
        return absent(&outcomes);
    };
    if term != fold.term {
        return Err(StoreError::Unavailable("the store lost something meanwhile: audit once more".to_owned()));
    }
    fold.take(events);
    let Fold { term: _, ledger, first_seq, events, result } = fold;
    let fold = result.and_then(|()| ledger.compare(view.seq, &view.items));
    Ok(Some(AuditReport { sale, view: view.clone(), first_seq, events, walk: walk.clone(), fold }))
}

/// Folds whole pages until there is none left. None where there is no such sale.
async fn fold_pages<S: Store>(store: &S, sale: &SaleId) -> Result<Option<Fold>, StoreError> {
    let mut fold = Fold::new(0);
    loop {
        let page = Command::Events { after: fold.ledger.seq(), term: fold.term, limit: PAGE };
        let reply = store.sale(sale.clone(), vec![page]).await?;
        let [Outcome::Events(events)] = &reply.outcomes[..] else { return absent(&reply.outcomes) };
        let term = term_of(&reply);
        if term != fold.term && fold.events > 0 {
            fold = Fold::new(term);
            continue;
        }
        fold.term = term;
        if events.len() < PAGE || fold.result.is_err() {
            return Ok(Some(fold));
        }
        fold.take(events);
    }
}

impl Fold {
    fn new(term: u64) -> Self {
        Self { term, ledger: Ledger::default(), first_seq: 0, events: 0, result: Ok(()) }
    }

    /// Folds a page in. One that begins later than the last ended begins at a checkpoint: the past was trimmed away
    /// meanwhile, and the fold begins anew there.
    fn take(&mut self, events: &[Event]) {
        if let Some(Event { seq, kind: EventKind::Checkpoint { .. }, .. }) = events.first()
            && *seq > self.ledger.seq() + 1
        {
            *self = Self::new(self.term);
        }
        for event in events {
            if self.result.is_ok() {
                self.first_seq = if self.events == 0 { event.seq } else { self.first_seq };
                self.events += 1;
                self.result = self.ledger.fold(event);
            }
        }
    }
}

/// The term in which a reply was given.
fn term_of(reply: &SaleReply) -> u64 {
    reply.header.map_or(0, |header| header.term)
}

/// What it means that the outcomes are not those asked for.
fn absent<T>(outcomes: &[Outcome]) -> Result<Option<T>, StoreError> {
    match outcomes.first() {
        Some(Outcome::Refused(_)) => Ok(None),
        _ => Err(StoreError::misfit()),
    }
}
