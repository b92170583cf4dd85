//! A room after a loss: [`crate::room::recovery`] says what it is told, and what it makes of it.

use super::Room;
use crate::{
    room::{
        bounds::{JUMP, POSITION_MAX},
        calls::{Call, Calls, Cost},
        command::{Epoch, Position, Session},
        pace::Observed,
        recovery::{Fact, Heard, Told},
        sessions::Live,
        settings::Rules,
        voids::Void,
    },
    time::UnixMs,
};

impl Room {
    /// Takes one row. A row of an older line than the room's says nothing; one of a newer line begins that.
    pub fn replay(room: &mut Option<Self>, told: &mut Told, now: UnixMs, fact: &Fact) {
        let Some(it) = room else {
            if let Fact::Settings { version, first_epoch, rules } = fact {
                *room = Some(Self::new(now, *version, *first_epoch, rules.bounded()));
                *told = Told { epoch: *first_epoch, rebuilt: true, ..Told::default() };
            }
            return;
        };
        if let Fact::Settings { version, first_epoch, rules } = fact {
            it.replay_settings(told, now, *version, *first_epoch, rules);
            return;
        }
        if fact.epoch() > it.epoch {
            it.begin_epoch(told, now, fact.epoch());
        }
        if fact.epoch() == it.epoch {
            it.replay_row(told, fact);
        }
    }

    fn replay_settings(&mut self, told: &mut Told, now: UnixMs, version: u64, first_epoch: Epoch, rules: &Rules) {
        if version <= self.version {
            return;
        }
        let rules = rules.bounded();
        self.version = version;
        if self.rules.sale != rules.sale {
            self.stock = None;
        }
        self.credit = self.credit.min(rules.ready_units());
        self.rules = rules;
        if first_epoch > self.epoch {
            self.begin_epoch(told, now, first_epoch);
        }
    }

    /// The line was reset, or made anew: nobody stands in it yet.
    fn begin_epoch(&mut self, told: &mut Told, now: UnixMs, epoch: Epoch) {
        let fresh = self.next_line(Self::new(now.max(self.last), self.version, epoch, self.rules.clone()));
        *self = Self { credit: self.credit.min(fresh.credit), stock: self.stock, ..fresh };
        *told = Told { epoch, rebuilt: told.rebuilt, ..Told::default() };
    }

    fn replay_row(&mut self, told: &mut Told, fact: &Fact) {
        if told.epoch != self.epoch {
            *told = Told { epoch: self.epoch, ..Told::default() };
        }
        let kept = *told.kept.get_or_insert(self.tail);
        match *fact {
            Fact::Settings { .. } => {}
            Fact::Figures { tail, head, joins, entered, .. } => {
                self.raise_tail(tail);
                self.joins = self.joins.max(joins);
                told.head = told.head.max(head);
                told.entered = told.entered.max(entered);
            }
            Fact::Void { first, last, .. } => {
                self.raise_tail(last);
                // Whatever others jumped: up to there the positions were issued here.
                self.voids.add(Void { first: first.max(kept + 1), last: last.min(POSITION_MAX) });
            }
            Fact::Inside { session, undecided } => {
                let position = session.name.position;
                self.raise_tail(position);
                // Whoever is inside was called.
                told.head = told.head.max(position);
                self.replay_session(session, undecided);
            }
            Fact::Over { position, .. } => {
                self.raise_tail(position);
                if self.claimed.contains(position) {
                    self.sessions.end(position);
                } else {
                    self.claimed.insert(position);
                    self.lapsed += u64::from(self.calls.of(position).is_some());
                }
            }
            Fact::Called { first, last, deadline, .. } => {
                self.raise_tail(last);
                let known = told.calls.entry(first).or_insert((last, deadline));
                *known = (known.0.max(last), known.1.max(deadline));
            }
        }
    }

    fn replay_session(&mut self, session: Session, undecided: Option<UnixMs>) {
        let position = session.name.position;
        if !self.claimed.contains(position) {
            self.claimed.insert(position);
            if self.calls.of(position).is_some() {
                self.entered += 1;
            } else if position <= self.head && self.lapsed > 0 {
                // One that was thought to have lapsed had entered. Where nobody seems to have, it is counted already.
                self.lapsed -= 1;
                self.entered += 1;
            }
            let Session { name, start, deadline, exchanged } = session;
            self.sessions.put(position, Live { tag: name.tag, start, deadline, exchanged, undecided });
            return;
        }
        // What is over stays over; the later of two states of one session counts.
        let Some(known) = self.sessions.get(position).copied().filter(|known| known.tag == session.name.tag) else {
            return;
        };
        let deadline = known.deadline.max(session.deadline);
        let exchanged = known.exchanged.max(session.exchanged);
        let undecided = known.undecided.and(undecided);
        self.sessions.put(position, Live { deadline, exchanged, undecided, ..known });
    }

    fn raise_tail(&mut self, position: Position) {
        self.tail = self.tail.max(position.min(POSITION_MAX));
    }

    /// Ends a recovery, or takes what somebody told who came late.
    ///
    /// No credit is left, because what was called in the lost moments has taken it, and what was called costs nothing any
    /// more, because nobody knows which permits came back. Where somebody was not heard, all who were called lapse: they
    /// may have entered. And the tail jumps: that one may have issued positions.
    pub fn recover(&mut self, now: UnixMs, told: &Told, heard: Heard) {
        let now = self.figures().at(now);
        let nothing = Told::default();
        // The line may have been reset since.
        let told = if told.epoch == self.epoch { told } else { &nothing };
        match heard {
            Heard::Late => self.settle(now),
            Heard::All | Heard::NotAll { .. } => {
                self.last = now;
                self.credit = 0;
                self.owed_until = UnixMs(0);
                self.observed = Observed::default();
            }
        }
        match heard {
            Heard::All => self.calls.make_free(),
            Heard::NotAll { .. } => self.calls = Calls::default(),
            Heard::Late => {}
        }
        if let Heard::NotAll { term } = heard {
            self.head = self.head.max(told.calls.values().map(|(last, _)| *last).max().unwrap_or_default());
            self.head = self.head.max(told.head).min(self.tail);
            self.cut_voids(told.rebuilt);
            self.jump(term);
        } else {
            self.call_again(told);
            self.head = self.head.max(told.head).min(self.tail);
            self.cut_voids(told.rebuilt);
        }
        self.count_anew(told.entered);
    }

    /// The calls that were told, beyond those that are known. They cost nothing: their permits are spent.
    fn call_again(&mut self, told: &Told) {
        for (first, (last, deadline)) in &told.calls {
            let (first, last) = ((*first).max(self.head + 1), (*last).min(self.tail));
            if first <= last {
                self.calls.put(Call { first, last, deadline: *deadline, cost: Cost::Free });
                self.head = last;
            }
        }
    }

    /// A room that was missing altogether knows nothing of who came from a void and went: below the head they lapse.
    fn cut_voids(&mut self, is_rebuilt: bool) {
        if is_rebuilt {
            self.voids.cut(self.head);
        }
    }

    /// The tail jumps to where the positions of this term begin: by its number, and by how many joins are known, and not by
    /// where the tail stands. So a term never issues what another one has issued, however little this one was told of it and
    /// in whatever order replicas come and go, if it knows of all joins but fewer than [`JUMP`]: in a term before, none was
    /// issued beyond `JUMP` × its number + all joins.
    fn jump(&mut self, term: u64) {
        let here = JUMP.saturating_mul(term).saturating_add(self.joins);
        // Nearer than this only if joins are miscounted: the line was forgotten, and tickets told how long it was.
        let last = here.max(self.tail.saturating_add(JUMP)).min(POSITION_MAX);
        self.voids.add(Void { first: self.tail + 1, last });
        self.tail = last;
    }

    /// Everybody at or before the head has entered, may still claim, or has lapsed.
    fn count_anew(&mut self, entered: u64) {
        let outstanding = self.calls.iter().map(|call| self.claimed.count_unset(call.first, call.last)).sum::<u64>();
        let resolved = self.head - outstanding;
        self.entered = self.entered.max(entered).min(resolved);
        self.lapsed = resolved - self.entered;
    }
}
