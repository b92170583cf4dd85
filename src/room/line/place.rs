//! Places in the line: join, claim, look, leave, and the short way in of an idle room.

use super::{Applied, Room};
use crate::{
    room::{
        bounds::{JUMP, OWED_MS, OWED_REFRESH_MS, PERMIT, TAIL_RAISE_MAX},
        command::{Outcome, Place, Position, Refusal, Session, Standing, Tag},
        sessions::Live,
        settings::StockGate,
        view::Phase,
    },
    time::UnixMs,
};

impl Room {
    /// Issues `count` positions. Into an empty line with permits to spare they are called in the same step.
    pub(super) fn join(&mut self, now: UnixMs, count: u32) -> Applied {
        if self.phase(now) == Phase::Closed || !self.has_room_for(u64::from(count)) {
            return Applied::refused(Refusal::Closed);
        }
        let joined = Outcome::Joined { epoch: self.epoch, first: self.tail + 1, count };
        if count == 0 {
            return Applied::unchanged(joined);
        }
        self.change(now, |room| room.issue(u64::from(count)));
        Applied::changed(joined)
    }

    pub(super) fn claim(&mut self, now: UnixMs, place: Place, tag: Tag) -> Applied {
        let raised = match self.honour(now, place) {
            Ok(raised) => raised,
            Err(refusal) => return Applied::refused(refusal),
        };
        let mut applied = match self.standing(place.position) {
            Standing::Waiting { .. } if place.position <= self.head => self.enter_from_void(now, place.position, tag),
            Standing::Waiting { ahead } => Applied::unchanged(Outcome::Waiting { ahead }),
            Standing::Called { .. } => {
                let session = self.change(now, |room| room.enter(now, place.position, tag, UnixMs(0)));
                Applied::changed(Outcome::Live(session))
            }
            Standing::Inside { .. } => self.live_outcome(place.position),
            Standing::Lapsed => Applied::refused(Refusal::Lapsed),
            Standing::Over => Applied::refused(Refusal::SessionOver),
        };
        applied.changed |= raised;
        applied
    }

    /// The store has forgotten that this position was issued, and the head has passed it: its visitor goes in by the next
    /// permit, which is kept for it.
    fn enter_from_void(&mut self, now: UnixMs, position: Position, tag: Tag) -> Applied {
        let free = match self.phase(now) {
            Phase::Free => true,
            Phase::Running => false,
            Phase::Scheduled | Phase::Paused | Phase::Closed => {
                return Applied::unchanged(Outcome::Waiting { ahead: 0 });
            }
        };
        let waits = Outcome::Waiting { ahead: 0 };
        if free || self.figures().callable(now, self.credit_at(now)) > 0 {
            let session = self.change(now, |room| {
                if !free {
                    room.credit -= PERMIT;
                }
                // It was passed over as one that lapsed, or is counted among those who entered by somebody's word.
                if room.lapsed > 0 {
                    room.lapsed -= 1;
                } else {
                    room.entered -= 1;
                }
                room.enter(now, position, tag, UnixMs(0))
            });
            return Applied::changed(Outcome::Live(session));
        }
        if now.plus_ms(OWED_REFRESH_MS) < self.owed_until {
            return Applied::unchanged(waits);
        }
        self.change(now, |room| room.owed_until = now.plus_ms(OWED_MS));
        Applied::changed(waits)
    }

    /// Join, claim and exchange in one step, where that takes nothing from anybody in line.
    pub(super) fn admit(&mut self, now: UnixMs, tag: Tag) -> Applied {
        let free = match self.phase(now) {
            Phase::Closed => return Applied::refused(Refusal::Closed),
            Phase::Scheduled | Phase::Paused => return Applied::refused(Refusal::LineAhead),
            Phase::Free => true,
            Phase::Running => false,
        };
        if !self.has_room_for(1) {
            return Applied::refused(Refusal::Closed);
        }
        let to_spare = free || self.callable(now, self.credit_at(now)) > 0;
        if self.head < self.tail || !to_spare {
            return Applied::refused(Refusal::LineAhead);
        }
        let session = self.change(now, |room| {
            room.issue(1);
            room.head = room.tail;
            if !free {
                room.credit -= PERMIT;
            }
            room.enter(now, room.tail, tag, now)
        });
        Applied::changed(Outcome::Live(session))
    }

    pub(super) fn look(&mut self, now: UnixMs, place: Place) -> Applied {
        match self.honour(now, place) {
            Ok(raised) => {
                let outcome = Outcome::Standing(self.standing(place.position));
                Applied { outcome, changed: raised }
            }
            Err(refusal) => Applied::refused(refusal),
        }
    }

    pub(super) fn leave(&mut self, now: UnixMs, place: Place) -> Applied {
        let raised = match self.honour(now, place) {
            Ok(raised) => raised,
            Err(refusal) => return Applied::refused(refusal),
        };
        let position = place.position;
        let changed = match self.standing(position) {
            Standing::Waiting { .. } => {
                self.change(now, |room| room.claimed.insert(position));
                true
            }
            Standing::Called { .. } => {
                self.change(now, |room| room.give_back(position));
                true
            }
            Standing::Inside { .. } => {
                self.change(now, |room| room.sessions.end(position));
                true
            }
            Standing::Lapsed | Standing::Over => false,
        };
        Applied { outcome: Outcome::Done, changed: changed || raised }
    }

    /// Takes a signed place as ours. A number above the tail was issued and forgotten: it raises the tail, so that
    /// nobody else gets it. Returns whether it did. Whole jumps between them are no joins.
    fn honour(&mut self, now: UnixMs, place: Place) -> Result<bool, Refusal> {
        if place.epoch < self.epoch {
            return Err(Refusal::Reset);
        }
        let above = place.position.saturating_sub(self.tail);
        let explained = above <= TAIL_RAISE_MAX && self.has_room_for(above);
        if place.epoch > self.epoch || place.position == 0 || !explained {
            return Err(Refusal::NotIssued);
        }
        if above > 0 {
            self.change(now, |room| {
                room.tail = place.position;
                room.joins += above % JUMP;
            });
        }
        Ok(above > 0)
    }

    fn issue(&mut self, count: u64) {
        self.tail += count;
        self.joins += count;
    }

    /// Where a position up to the tail stands, after the tick.
    fn standing(&self, position: Position) -> Standing {
        if self.claimed.contains(position) {
            return match self.sessions.get(position) {
                Some(live) => Standing::Inside { deadline: live.deadline },
                None => Standing::Over,
            };
        }
        if position > self.head {
            return Standing::Waiting { ahead: self.figures().ahead(position) };
        }
        match self.calls.of(position) {
            Some(call) => Standing::Called { deadline: call.deadline },
            None if self.voids.of(position).is_some() => Standing::Waiting { ahead: 0 },
            None => Standing::Lapsed,
        }
    }

    /// A called visitor goes in: the position is claimed and a session starts.
    fn enter(&mut self, now: UnixMs, position: Position, tag: Tag, exchanged: UnixMs) -> Session {
        self.entered += 1;
        self.claimed.insert(position);
        self.observed.entered(now);
        let deadline = now.plus_ms(self.rules.session_ms);
        let undecided = (self.rules.stock_gate != StockGate::Off).then_some(deadline);
        let live = Live { tag, start: now, deadline, exchanged, undecided };
        self.sessions.put(position, live);
        self.session(position, live)
    }

    /// A called visitor does not want to go in: its permit goes to the next in line, now.
    fn give_back(&mut self, position: Position) {
        self.claimed.insert(position);
        if let Some(cost) = self.calls.of(position).map(|call| call.cost) {
            self.lapse(1, cost);
        }
    }
}
