//! The stock behind the line: what the room is told of it, and how many it may call for it. [`crate::room::stock`] says
//! whom a unit is meant for.

use super::{Applied, Room};
use crate::{
    room::{
        bounds::UNITS_MAX,
        command::Outcome,
        settings::StockGate,
        stock::{Grant, Stock, StockNews},
    },
    time::UnixMs,
};

impl Room {
    /// Takes what the sale says of itself, before the tick that comes with it calls anybody. What is of another sale than
    /// the room's, or older than what is known, changes nothing; the same again only says that it still holds, which is written down no more often than it
    /// needs to be.
    pub(super) fn set_stock(&mut self, now: UnixMs, news: &StockNews) -> Applied {
        let known = self.stock.map(|stock| stock.age());
        let told = (news.born, news.term, news.seq);
        let again = self.stock.filter(|_| known == Some(told));
        // A sale that opens or closes has no event to tell of it.
        let is_other =
            |stock: Stock| (stock.available, stock.held, stock.phase) != (news.available, news.held, news.phase);
        let is_new = known < Some(told) || again.is_some_and(is_other);
        let is_wanted = match self.rules.stock_gate {
            _ if self.rules.sale.as_ref() != Some(&news.sale) => false,
            StockGate::Off => false,
            StockGate::Inform => is_new,
            StockGate::Hold => is_new || again.is_some_and(|stock| stock.wants_refresh(now)),
        };
        if !is_wanted {
            return Applied { outcome: Outcome::Done, changed: self.tick(now) };
        }
        self.settle_with(now, |room| {
            let same = room.stock.filter(|stock| (stock.born, stock.term) == (news.born, news.term));
            let heard = same.map_or(0, |stock| stock.seq);
            for grant in news.grants.iter().filter(|grant| grant.seq > heard) {
                room.note_grant(*grant);
            }
            room.stock = Some(Stock {
                born: news.born,
                term: news.term,
                seq: news.seq,
                available: news.available.min(UNITS_MAX),
                held: news.held.min(UNITS_MAX),
                phase: news.phase,
                at: now,
            });
        });
        Applied::changed(Outcome::Done)
    }

    /// There is no such sale, or it was made anew and counts from the beginning.
    pub(super) fn forget_stock(&mut self, now: UnixMs) -> Applied {
        if self.stock.is_none() {
            return Applied { outcome: Outcome::Done, changed: self.tick(now) };
        }
        self.settle_with(now, |room| room.stock = None);
        Applied::changed(Outcome::Done)
    }

    /// Where the buyer can't be told, whoever has been inside longest is taken for it: a shop that names its buyers
    /// itself shall not keep units waiting for visitors who have theirs.
    fn note_grant(&mut self, grant: Grant) {
        match grant.session {
            None => self.sessions.decide_oldest(),
            Some(name) if name.epoch == self.epoch => self.sessions.decide(name.position, name.tag),
            Some(_) => {}
        }
    }
}
