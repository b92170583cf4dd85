//! The state machine of a room: command in, outcome out.
//!
//! Every command first ticks the room to its own `now`. A tick that would change nothing but credit leaves the
//! state untouched, so that reads stay reads: what credit has grown since is computed from `last` when needed.

mod place;
mod recovery;
mod session;
mod stock;
mod tick;

use serde::{Deserialize, Serialize};

use super::{
    bounds::{POSITION_MAX, TIME_MAX_MS},
    calls::Calls,
    claimed::Claimed,
    command::{Command, Epoch, Outcome, Position, Refusal},
    figures::Figures,
    pace::Observed,
    sessions::Sessions,
    settings::{Mode, Rules, StockGate},
    stock::Stock,
    view::{Phase, View},
    voids::{Void, Voids},
};
use crate::time::UnixMs;

/// A room's line. Serialisable whole: a snapshot of it is its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// The version of the settings in force.
    version: u64,
    rules: Rules,
    epoch: Epoch,
    /// The time of the last change: `credit` is as of then, and time never runs backwards before it.
    last: UnixMs,
    tail: Position,
    head: Position,
    /// How many positions were issued; the tail stands further on by what it has jumped.
    joins: u64,
    entered: u64,
    lapsed: u64,
    /// In units of 1/60 000 permit.
    credit: u64,
    calls: Calls,
    claimed: Claimed,
    sessions: Sessions,
    observed: Observed,
    /// Where a sale stands behind the room and the line is to know of it.
    stock: Option<Stock>,
    voids: Voids,
    /// Until when a permit is kept for visitors with a ticket from a void.
    owed_until: UnixMs,
}

/// What came of a command, and whether the room's state is another than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub outcome: Outcome,
    /// False only if the state is exactly what it was: a store need not write, and a replay may leave the command out.
    pub changed: bool,
}

impl Applied {
    fn changed(outcome: Outcome) -> Self {
        Self { outcome, changed: true }
    }

    fn unchanged(outcome: Outcome) -> Self {
        Self { outcome, changed: false }
    }

    fn refused(refusal: Refusal) -> Self {
        Self::unchanged(Outcome::Refused(refusal))
    }
}

impl Room {
    /// Applies one command to a room that may not exist yet, or no longer.
    pub fn apply(room: &mut Option<Room>, now: UnixMs, command: &Command) -> Applied {
        match (room.as_mut(), command) {
            (Some(room), Command::Configure { version, first_epoch, rules }) => {
                room.configure(room.figures().at(now), *version, *first_epoch, rules)
            }
            (None, Command::Configure { version, first_epoch, rules }) => {
                let now = UnixMs(now.0.min(TIME_MAX_MS));
                *room = Some(Self::new(now, *version, *first_epoch, rules.bounded()));
                Applied::changed(Outcome::Done)
            }
            (Some(it), Command::Delete { last_epoch }) if it.epoch <= *last_epoch => {
                *room = None;
                Applied::changed(Outcome::Done)
            }
            (_, Command::Delete { .. }) => Applied::unchanged(Outcome::Done),
            (Some(room), Command::SetStock(news)) => room.set_stock(room.figures().at(now), news),
            (Some(room), Command::ForgetStock) => room.forget_stock(room.figures().at(now)),
            (Some(room), command) => room.step(room.figures().at(now), command),
            (None, _) => Applied::refused(Refusal::UnknownRoom),
        }
    }

    /// What the room shows of itself at `now`.
    pub fn view(&self, now: UnixMs) -> View {
        self.figures().view(now)
    }

    /// The room's figures, as of its last change.
    pub fn figures(&self) -> Figures<'_> {
        Figures {
            term: 0,
            version: self.version,
            rules: &self.rules,
            epoch: self.epoch,
            last: self.last,
            tail: self.tail,
            head: self.head,
            entered: self.entered,
            lapsed: self.lapsed,
            credit: self.credit,
            inside: self.sessions.count(),
            undecided: self.sessions.undecided(),
            observed: &self.observed,
            stock: self.stock,
            voids: &self.voids,
        }
    }

    fn new(now: UnixMs, version: u64, first_epoch: Epoch, rules: Rules) -> Self {
        Self {
            version,
            epoch: first_epoch,
            last: now,
            tail: 0,
            head: 0,
            joins: 0,
            entered: 0,
            lapsed: 0,
            credit: rules.ready_units(),
            calls: Calls::default(),
            claimed: Claimed::default(),
            sessions: Sessions::default(),
            observed: Observed::default(),
            stock: None,
            voids: Voids::default(),
            owed_until: UnixMs(0),
            rules,
        }
    }

    fn step(&mut self, now: UnixMs, command: &Command) -> Applied {
        let ticked = self.tick(now);
        let mut applied = match *command {
            Command::Join { count } => self.join(now, count),
            Command::Claim { place, tag } => self.claim(now, place, tag),
            Command::Admit { tag } => self.admit(now, tag),
            Command::Look { place } => self.look(now, place),
            Command::Leave { place } => self.leave(now, place),
            Command::Exchange { session, issued } => self.exchange(now, session, issued),
            Command::Check { session, holder } => self.check(session, holder),
            Command::Renew { session } => self.renew(now, session),
            Command::Finish { session } => self.finish(now, session),
            Command::Reset => self.reset(now),
            // These were told apart before.
            Command::SetStock(_) | Command::ForgetStock | Command::Configure { .. } | Command::Delete { .. } => {
                Applied::unchanged(Outcome::Done)
            }
            Command::Tick => Applied::unchanged(Outcome::Done),
        };
        applied.changed |= ticked;
        applied
    }

    /// Ticks with the old values, then takes the new ones. Credit is cut to what may stand ready now, and to
    /// nothing where everyone passed; calls keep the deadlines they were promised.
    fn configure(&mut self, now: UnixMs, version: u64, first_epoch: Epoch, rules: &Rules) -> Applied {
        if version <= self.version {
            return Applied::unchanged(Outcome::Done);
        }
        let rules = rules.bounded();
        if first_epoch > self.epoch {
            *self = self.next_line(Self::new(now, version, first_epoch, rules));
            return Applied::changed(Outcome::Done);
        }
        self.settle(now);
        let (was, is) = (&self.rules, &rules);
        let speed_of =
            |rules: &Rules| (rules.rate_per_minute, rules.overcall, rules.max_active, rules.mode == Mode::Open);
        if speed_of(was) != speed_of(is) {
            self.observed.forget_moves();
        }
        let kept = if was.mode == Mode::Open && is.mode != Mode::Open { 0 } else { self.credit };
        self.credit = kept.min(is.ready_units());
        if was.sale != is.sale || is.stock_gate == StockGate::Off {
            self.stock = None;
        }
        self.version = version;
        self.rules = rules;
        self.advance(now);
        Applied::changed(Outcome::Done)
    }

    /// Empties the line. Credit stays: a reset makes no permits, whatever it takes away.
    fn reset(&mut self, now: UnixMs) -> Applied {
        self.change(now, |room| {
            let fresh = Self::new(now, room.version, room.epoch.saturating_add(1), room.rules.clone());
            *room = Self { credit: room.credit, stock: room.stock, ..room.next_line(fresh) };
        });
        Applied::changed(Outcome::Done)
    }

    /// A line that takes the place of this one begins as far on as this one has jumped: a term before may have begun that line,
    /// too, and have issued its first positions.
    fn next_line(&self, mut fresh: Self) -> Self {
        fresh.tail = self.tail.saturating_sub(self.joins);
        fresh.voids.add(Void { first: 1, last: fresh.tail });
        fresh
    }

    fn phase(&self, now: UnixMs) -> Phase {
        self.figures().phase(now)
    }

    /// Whether `count` more positions can be issued.
    fn has_room_for(&self, count: u64) -> bool {
        self.tail.saturating_add(count) <= POSITION_MAX
    }
}

#[cfg(test)]
mod tests;
