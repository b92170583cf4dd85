//! The stock's way to the line: the rooms of a sale are told what it has left, and whoever has bought the whole of a
//! reservation has its session ended, where the sale asks for that.
//!
//! Both follow the sale's events. A room keeps the number of the last one it was told of, so any instance goes on where
//! any other ended, and what is told twice counts once. Sessions are ended again after a restart for all events that the
//! sale still keeps: that costs some milliseconds, and ending a session that has ended changes nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    future::{join_all, try_join_all},
    stream,
};

use super::{Instance, LiveRoom, LiveSale, directory::Directory};
use crate::{
    id::SaleId,
    room::{Command, Grant, SalePhase, SessionRef, StockGate, StockNews},
    sale::{
        self, Buyer, Event, EventKind, Outcome, Share,
        view::{Header, Phase},
    },
    store::StoreError,
    time::UnixMs,
};

/// How often sales are looked at: the line hears of a change at most so much later, and no room is told more often.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is known of a sale is asked for again when it is older and somebody waits for it: other instances sell too.
const HEADER_GOOD_MS: u64 = 250;

/// Events read at a time: a store's thread copies them within a millisecond.
const EVENTS_AT_ONCE: usize = 1_000;

/// Pages of events read at one look: a hundred thousand a second, more than any store takes reservations.
const PAGES_AT_ONCE: usize = 10;

/// How many sales are looked at, or sessions ended, at a time.
const AT_ONCE: usize = 32;

/// How far the events of each sale have been looked through for sessions to end.
pub(super) type Followed = HashMap<SaleId, Looked>;

/// A point in a sale's events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    born: u64,
    term: u64,
    seq: u64,
}

/// A sale, the rooms that are to know its stock, and those whose sessions a purchase ends.
struct Follow {
    sale: Arc<LiveSale>,
    told: Vec<Arc<LiveRoom>>,
    left: Vec<Arc<LiveRoom>>,
}

/// A page of a sale's events.
struct Page {
    events: Vec<Event>,
    /// The sale after the page was read: perhaps some events further on.
    header: Header,
}

impl Instance {
    /// Tells every room what its sale has left, if that is news to it or it has to hear it again, and ends the sessions
    /// of those who have bought.
    pub(super) async fn follow_sales(&self) {
        let directory = self.directory.load_full();
        self.forget_gone(&directory).await;
        let work = follows(&directory);
        self.followed().retain(|id, _| directory.sales.contains_key(id));
        stream::iter(work)
            .for_each_concurrent(AT_ONCE, async |follow| {
                if let Err(error) = self.follow_sale(&follow).await {
                    tracing::debug!(sale = %follow.sale.id, %error, "a sale could not be followed");
                }
            })
            .await;
    }

    /// Rooms of a sale that is gone know nothing of any stock.
    async fn forget_gone(&self, directory: &Directory) {
        let is_gone =
            |room: &Arc<LiveRoom>| room.document.sale.as_ref().is_none_or(|id| !directory.sales.contains_key(id));
        let knows = |room: &Arc<LiveRoom>| room.lane.view().is_some_and(|view| view.stock.is_some());
        let lost: Vec<_> = directory.rooms.values().filter(|room| knows(room) && is_gone(room)).cloned().collect();
        for answer in join_all(lost.iter().map(|room| room.lane.submit(Command::ForgetStock))).await {
            if let Err(error) = answer {
                tracing::debug!(%error, "a room could not be told that its sale is gone");
            }
        }
    }

    async fn follow_sale(&self, follow: &Follow) -> Result<(), StoreError> {
        let Some(header) = self.header_of(follow).await? else { return Ok(()) };
        if header.born != follow.sale.born || follow.sale.needs_operator() {
            // The sale of before, still to be configured anew; or one that nobody knows anything of: a line that waits for
            // units hears nothing, and waits.
            return Ok(());
        }
        for room in &follow.told {
            room.show_stock_numbers(follow.sale.document.show_numbers);
            self.tell(room, &follow.sale, header).await?;
        }
        if follow.left.is_empty() { Ok(()) } else { self.end_sessions(follow, header).await }
    }

    /// What is known of the sale; asked for where somebody waits and it may have changed elsewhere.
    async fn header_of(&self, follow: &Follow) -> Result<Option<Header>, StoreError> {
        let now = self.clock.now();
        let known = follow.sale.lane.header();
        let is_old = known.is_none_or(|header| now.since(header.now) >= HEADER_GOOD_MS);
        let is_awaited = follow.told.iter().chain(&follow.left).any(|room| room.wants_tick(now));
        if !is_old || !is_awaited {
            return Ok(known);
        }
        Ok(follow.sale.lane.submit(sale::Command::Tick).await?.header)
    }

    /// Tells a room what is left, with the grants since it last heard.
    async fn tell(&self, room: &LiveRoom, sale: &LiveSale, header: Header) -> Result<(), StoreError> {
        for _ in 0..PAGES_AT_ONCE {
            let Some(view) = room.lane.view() else { return Ok(()) };
            let known = view.stock.filter(|stock| stock.born == header.born);
            if known.is_some_and(|stock| stock.term < header.term) {
                // The store lost some events and tells the others again under numbers of their own. Who reserved is not
                // gone through again: of a grant without a session's name nobody could tell whether it counted before.
                return self.say(room, sale, header, header.seq, Vec::new()).await;
            }
            if let Some(stock) = known.filter(|stock| (stock.term, stock.seq) >= (header.term, header.seq)) {
                let is_other = (stock.term, stock.seq) == (header.term, header.seq)
                    && stock.phase != phase(sale, header, self.clock.now());
                let is_due = is_other || is_to_hear_again(room, self.clock.now());
                return if is_due { self.say(room, sale, header, header.seq, Vec::new()).await } else { Ok(()) };
            }
            // To a room that knows nothing, only the latest events say anything of those inside.
            let from_here = header.seq.saturating_sub(EVENTS_AT_ONCE as u64);
            let (term, after) = known.map_or((header.term, from_here), |stock| (stock.term, stock.seq));
            let Some(page) = page(sale, term, after).await? else { return Ok(()) };
            let is_last = page.events.len() < EVENTS_AT_ONCE;
            let seq = page.events.last().map_or(after, |event| event.seq);
            let grants = page.events.iter().filter_map(grant).collect();
            self.say(room, sale, page.header, seq, grants).await?;
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Says to a room what a header does, of which the events up to `seq` have been looked through. Units taken after
    /// those are left out of `available` already and their takers still counted as looking, so the line calls too few
    /// rather than too many.
    async fn say(
        &self,
        room: &LiveRoom,
        sale: &LiveSale,
        header: Header,
        seq: u64,
        grants: Vec<Grant>,
    ) -> Result<(), StoreError> {
        let news = StockNews {
            sale: sale.id.clone(),
            born: header.born,
            term: header.term,
            seq,
            available: header.available,
            held: header.held,
            phase: phase(sale, header, self.clock.now()),
            grants,
        };
        room.lane.submit(Command::SetStock(news)).await.map(drop)
    }

    /// Ends the sessions of those who have bought the whole of a reservation since this last looked.
    async fn end_sessions(&self, follow: &Follow, header: Header) -> Result<(), StoreError> {
        let (id, born) = (&follow.sale.id, header.born);
        let known = self.followed().get(id).copied().filter(|known| known.born == born);
        let (mut term, mut after) = known.map_or((header.term, 0), |known| (known.term, known.seq));
        while (term, after) < (header.term, header.seq) {
            let Some(page) = page(&follow.sale, term, after).await? else { return Ok(()) };
            let Some(last) = page.events.last().map(|event| event.seq) else { return Ok(()) };
            let sessions: Vec<_> = page.events.iter().filter_map(bought_whole).collect();
            for some in sessions.chunks(AT_ONCE) {
                let ends = some.iter().flat_map(|session| follow.left.iter().map(|room| end_session(room, *session)));
                // The first that could not be told stops it: the page is gone through again.
                try_join_all(ends).await?;
            }
            (term, after) = (page.header.term, last);
            self.followed().insert(id.clone(), Looked { born, term, seq: after });
        }
        Ok(())
    }

    fn followed(&self) -> std::sync::MutexGuard<'_, Followed> {
        // Nothing panics while the lock is held; if it ever did, the map would still be whole.
        self.followed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The sales that any room has to do with, each with those rooms.
fn follows(directory: &Directory) -> Vec<Follow> {
    let mut told: HashMap<&SaleId, Vec<Arc<LiveRoom>>> = HashMap::new();
    for room in directory.rooms.values() {
        if let (Some(sale), StockGate::Inform | StockGate::Hold) = (&room.document.sale, room.document.stock_gate) {
            told.entry(sale).or_default().push(Arc::clone(room));
        }
    }
    let mut follow = |sale: &Arc<LiveSale>| {
        let told = told.remove(&sale.id).unwrap_or_default();
        let leaves = sale.document.finish_session.then_some(&sale.document.requires_pass);
        let left = leaves.into_iter().flatten().filter_map(|id| directory.rooms.get(id).cloned()).collect::<Vec<_>>();
        (!told.is_empty() || !left.is_empty()).then(|| Follow { sale: Arc::clone(sale), told, left })
    };
    directory.sales.values().filter_map(&mut follow).collect()
}

/// The sale's events after `after` as of `term`. None where it is gone.
async fn page(sale: &LiveSale, term: u64, after: u64) -> Result<Option<Page>, StoreError> {
    let answer = sale.lane.submit(sale::Command::Events { after, term, limit: EVENTS_AT_ONCE }).await?;
    match (answer.outcome, answer.header) {
        (Outcome::Events(events), Some(header)) => Ok(Some(Page { events, header })),
        _ => Ok(None),
    }
}

/// Whether the line would stop if the room did not hear once more that nothing has changed. Nobody else needs to.
fn is_to_hear_again(room: &LiveRoom, now: UnixMs) -> bool {
    let is_worn = room.lane.view().and_then(|view| view.stock).is_some_and(|stock| stock.wants_refresh(now));
    room.document.stock_gate == StockGate::Hold && is_worn && room.wants_tick(now)
}

/// Whether the sale sells at `now`. By the clock: of a sale that nobody asks anything the last header may be from before
/// it opened or closed, and its rooms are to know within a look all the same. A header of another version than the
/// document's knows better than that.
fn phase(sale: &LiveSale, header: Header, now: UnixMs) -> SalePhase {
    let (opens, closes) = (sale.document.opens_at.map(|at| at.0), sale.document.closes_at.map(|at| at.0));
    match header.phase {
        _ if header.version == sale.version && closes.is_some_and(|at| at <= now) => SalePhase::Closed,
        _ if header.version == sale.version && opens.is_some_and(|at| now < at) => SalePhase::Scheduled,
        _ if header.version == sale.version => SalePhase::Open,
        Phase::Scheduled => SalePhase::Scheduled,
        Phase::Open => SalePhase::Open,
        Phase::Closed => SalePhase::Closed,
    }
}

fn grant(event: &Event) -> Option<Grant> {
    match &event.kind {
        EventKind::Held { buyer, .. } => Some(Grant { seq: event.seq, session: buyer.as_ref().and_then(session_of) }),
        _ => None,
    }
}

/// The session whose visitor has bought all that it reserved.
fn bought_whole(event: &Event) -> Option<SessionRef> {
    match &event.kind {
        EventKind::Confirmed { buyer, share: Share::Whole, .. } => buyer.as_ref().and_then(session_of),
        _ => None,
    }
}

/// The session that a buyer's name is; none where a shop gave the name.
fn session_of(buyer: &Buyer) -> Option<SessionRef> {
    buyer.as_str().parse().ok()
}

/// Ends a session if it is this room's: its tag tells, so a session of another room or line is left alone.
async fn end_session(room: &LiveRoom, session: SessionRef) -> Result<(), StoreError> {
    let may_live = room.lane.view().is_none_or(|view| view.epoch == session.epoch && view.inside > 0);
    if may_live {
        room.lane.submit(Command::Finish { session }).await?;
    }
    Ok(())
}
