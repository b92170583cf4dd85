//! Sessions: exchange, check, renew, finish.

use super::{Applied, Room};
use crate::{
    room::{
        bounds::TIME_MAX_MS,
        command::{Holder, Outcome, Position, Refusal, Session, SessionRef},
        sessions::Live,
    },
    time::UnixMs,
};

impl Room {
    pub(super) fn exchange(&mut self, now: UnixMs, name: SessionRef, issued: UnixMs) -> Applied {
        let live = match self.find(name) {
            Ok(live) => live,
            Err(refusal) => return Applied::refused(refusal),
        };
        if issued <= live.exchanged || issued.0 > TIME_MAX_MS {
            return Applied::refused(Refusal::Superseded);
        }
        self.put(now, name.position, Live { exchanged: issued, ..live })
    }

    pub(super) fn check(&self, name: SessionRef, holder: Holder) -> Applied {
        match (self.find(name), holder) {
            (Err(refusal), _) => Applied::refused(refusal),
            (Ok(live), Holder::Browser { exchanged }) if live.exchanged != exchanged => {
                Applied::refused(Refusal::Superseded)
            }
            (Ok(live), _) => Applied::unchanged(Outcome::Live(self.session(name.position, live))),
        }
    }

    /// Slides the deadline, never past start + `session_max`, and never back.
    pub(super) fn renew(&mut self, now: UnixMs, name: SessionRef) -> Applied {
        let live = match self.find(name) {
            Ok(live) => live,
            Err(refusal) => return Applied::refused(refusal),
        };
        let last = self.rules.session_max_ms.map_or(UnixMs(u64::MAX), |max| live.start.plus_ms(max));
        let deadline = now.plus_ms(self.rules.session_ms).min(last);
        if !self.rules.session_renewal || deadline <= live.deadline {
            return Applied::unchanged(Outcome::Live(self.session(name.position, live)));
        }
        self.put(now, name.position, Live { deadline, ..live })
    }

    pub(super) fn finish(&mut self, now: UnixMs, name: SessionRef) -> Applied {
        match self.find(name) {
            Ok(_) => {
                self.change(now, |room| room.sessions.end(name.position));
                Applied::changed(Outcome::Done)
            }
            Err(Refusal::SessionOver) => Applied::unchanged(Outcome::Done),
            Err(refusal) => Applied::refused(refusal),
        }
    }

    /// A live session as it is answered.
    pub(super) fn session(&self, position: Position, live: Live) -> Session {
        let name = SessionRef { epoch: self.epoch, position, tag: live.tag };
        Session { name, start: live.start, deadline: live.deadline, exchanged: live.exchanged }
    }

    /// The answer to a claim that was made before.
    pub(super) fn live_outcome(&self, position: Position) -> Applied {
        match self.sessions.get(position) {
            Some(live) => Applied::unchanged(Outcome::Live(self.session(position, *live))),
            None => Applied::refused(Refusal::SessionOver),
        }
    }

    fn put(&mut self, now: UnixMs, position: Position, live: Live) -> Applied {
        self.change(now, |room| room.sessions.put(position, live));
        Applied::changed(Outcome::Live(self.session(position, live)))
    }

    /// The live session of that name.
    fn find(&self, name: SessionRef) -> Result<Live, Refusal> {
        if name.epoch < self.epoch {
            return Err(Refusal::Reset);
        }
        if name.epoch > self.epoch {
            return Err(Refusal::UnknownSession);
        }
        match self.sessions.get(name.position) {
            Some(live) if live.tag == name.tag => Ok(*live),
            Some(_) => Err(Refusal::UnknownSession),
            None if self.claimed.contains(name.position) => Err(Refusal::SessionOver),
            None => Err(Refusal::UnknownSession),
        }
    }
}
