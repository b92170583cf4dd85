//! A room under a virtual clock, with a witness that checks after each command what must always hold.

use std::collections::{BTreeMap, BTreeSet};

use dropgate::{
    room::{
        Applied, Command, Grant, Holder, Mode, Outcome, Place, Refusal, Room, Rules, SalePhase, Session, SessionRef,
        Standing, StockGate, StockNews, Tag, View,
        bounds::{GROWTH_MS, PERMIT},
        view::Phase,
    },
    time::UnixMs,
};

/// The settings a world begins with: an ordinary room.
pub fn ordinary_rules() -> Rules {
    Rules {
        mode: Mode::Queue,
        rate_per_minute: 600,
        burst: 10,
        max_active: None,
        claim_window_ms: 10_000,
        overcall: 1,
        session_ms: 60_000,
        session_renewal: true,
        session_max_ms: None,
        opens_at: None,
        closes_at: None,
        sale: dropgate::id::SaleId::parse("drop").ok(),
        stock_gate: StockGate::Off,
    }
}

/// How closely a world is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The whole state is compared after each command.
    Thorough,
    /// Only what the room shows: for worlds of many thousand steps.
    Quick,
}

/// One room, its clock, and what its witness has seen.
pub struct World {
    pub room: Option<Room>,
    /// What a replay of only those commands that changed something makes.
    replayed: Option<Room>,
    pub witness: Witness,
    pub now: u64,
    version: u64,
    pub epoch: u64,
    pub rules: Rules,
    /// The highest position issued, or honoured, in this epoch.
    tail: u64,
    /// Every session ever started in this epoch: its tag and start.
    entered: BTreeMap<u64, (Tag, UnixMs)>,
    /// Deadlines promised to called visitors who have not claimed.
    promised: BTreeMap<u64, UnixMs>,
    /// Positions given back by their visitors.
    left: BTreeSet<u64>,
    /// Positions called while everyone passed: outside the bounds.
    free: BTreeSet<u64>,
    pub bound: EntryBound,
    /// The sale's last event, and what was left then.
    pub stock: (u64, u64, u64),
}

/// Watches that over any window at most ∫rate + L enter, L the largest in force within a claim window before it.
pub struct EntryBound {
    /// ∫rate up to `since`, in units.
    poured: u64,
    since: u64,
    rate: u64,
    /// (until when it was in force, L); the last is in force.
    ceilings: Vec<(u64, u64)>,
    longest_window_ms: u64,
    pub entries: u64,
    /// The least, over all entries so far, of L − ∫rate + entries before it: no later sum of entries may exceed it.
    least: i128,
}

impl EntryBound {
    fn new(now: u64, rules: &Rules) -> Self {
        Self {
            poured: 0,
            since: now,
            rate: rules.rate_per_minute,
            ceilings: vec![(u64::MAX, rules.ceiling_units())],
            longest_window_ms: rules.claim_window_ms,
            entries: 0,
            least: i128::MAX,
        }
    }

    fn configure(&mut self, now: u64, rules: &Rules) {
        self.poured += self.rate * (now - self.since);
        self.since = now;
        self.rate = rules.rate_per_minute;
        self.ceilings.last_mut().unwrap().0 = now;
        self.ceilings.push((u64::MAX, rules.ceiling_units()));
        self.longest_window_ms = self.longest_window_ms.max(rules.claim_window_ms);
    }

    fn enter(&mut self, now: u64) {
        let poured = i128::from(self.poured + self.rate * (now - self.since));
        // A window's deadlines are rounded up to the next 240th.
        let back = now.saturating_sub(self.longest_window_ms + self.longest_window_ms / 240 + 1);
        let ceiling = self.ceilings.iter().filter(|(until, _)| *until >= back).map(|(_, l)| *l).max().unwrap();
        let before = i128::from(self.entries * PERMIT);
        self.least = self.least.min(i128::from(ceiling) - poured + before);
        self.entries += 1;
        let over = i128::from(self.entries * PERMIT) - poured - self.least;
        assert!(over <= 0, "{over} units more than ∫rate + L entered by {now}");
    }
}

impl World {
    pub fn new(rules: Rules) -> Self {
        let now = 1_700_000_000_000;
        let mut world = Self {
            room: None,
            replayed: None,
            witness: Witness::Thorough,
            now,
            version: 0,
            epoch: 1,
            tail: 0,
            entered: BTreeMap::new(),
            promised: BTreeMap::new(),
            left: BTreeSet::new(),
            free: BTreeSet::new(),
            bound: EntryBound::new(now, &rules),
            stock: (1, 0, 0),
            rules: rules.clone(),
        };
        world.configure(rules);
        world
    }

    pub fn view(&self) -> View {
        self.room.as_ref().unwrap().view(UnixMs(self.now))
    }

    pub fn tick(&mut self) {
        self.send(&Command::Tick);
    }

    pub fn configure(&mut self, rules: Rules) {
        self.version += 1;
        self.rules = rules.clone();
        self.send(&Command::Configure { version: self.version, first_epoch: self.epoch, rules: rules.clone() });
        let at = self.view().now.0;
        self.bound.configure(at, &rules);
    }

    pub fn join(&mut self, count: u32) {
        let closed = self.view().phase == Phase::Closed;
        let outcome = self.send(&Command::Join { count });
        if closed {
            assert_eq!(outcome, Outcome::Refused(Refusal::Closed));
            return;
        }
        assert_eq!(outcome, Outcome::Joined { epoch: self.epoch, first: self.tail + 1, count }, "unique and dense");
        self.tail += u64::from(count);
    }

    pub fn place(&self, position: u64) -> Place {
        Place { epoch: self.epoch, position }
    }

    /// A visitor asks for the pass; whatever the answer, it must fit what was promised.
    pub fn claim(&mut self, position: u64, tag: Tag) -> Outcome {
        let outcome = self.send(&Command::Claim { place: self.place(position), tag });
        self.tail = self.tail.max(position);
        let now = self.view().now;
        match &outcome {
            Outcome::Live(session) => self.witness_session(*session, tag, now),
            Outcome::Refused(Refusal::Lapsed) => {
                let promised = self.promised.get(&position);
                assert!(promised.is_none_or(|deadline| *deadline <= now), "{position} lapsed before its deadline");
                assert!(!self.entered.contains_key(&position));
            }
            Outcome::Refused(Refusal::SessionOver) => {
                assert!(self.entered.contains_key(&position) || self.left.contains(&position));
            }
            Outcome::Waiting { ahead } => {
                assert_eq!(position, self.view().head + 1 + ahead);
                assert!(!self.promised.contains_key(&position), "{position} was called and must not wait again");
            }
            other => panic!("claim of {position}: {other:?}"),
        }
        outcome
    }

    /// Every called visitor who can still come does so at once.
    pub fn claim_all(&mut self) {
        let head = self.view().head;
        for position in 1..=head {
            if !self.entered.contains_key(&position) && !self.left.contains(&position) {
                self.claim(position, Tag(position));
            }
        }
    }

    pub fn look(&mut self, position: u64) {
        let outcome = self.send(&Command::Look { place: self.place(position) });
        self.tail = self.tail.max(position);
        if let Outcome::Standing(Standing::Called { deadline }) = outcome {
            assert!(deadline > self.view().now);
            let promised = *self.promised.entry(position).or_insert(deadline);
            // Only a call merged with a later one may get longer; nobody's promise gets shorter.
            assert!(deadline >= promised);
        }
    }

    pub fn leave(&mut self, position: u64) {
        self.send(&Command::Leave { place: self.place(position) });
        self.tail = self.tail.max(position);
        self.left.insert(position);
    }

    pub fn admit(&mut self, tag: Tag) {
        self.tick();
        let before = self.view();
        let outcome = self.send(&Command::Admit { tag });
        if let Outcome::Live(session) = outcome {
            assert_eq!(before.waiting(), 0, "nobody who waits is overtaken");
            assert_eq!(session.name.position, self.tail + 1);
            self.tail += 1;
            if before.phase == Phase::Free {
                self.free.insert(self.tail);
            }
            self.witness_session(session, tag, session.start);
        }
    }

    /// Something is done with the session of a position, if it ever had one.
    pub fn with_session(&mut self, position: u64, act: SessionAct) {
        let Some((tag, _)) = self.entered.get(&position).copied() else { return };
        let session = SessionRef { epoch: self.epoch, position, tag };
        let command = match act {
            SessionAct::Finish => Command::Finish { session },
            SessionAct::Renew => Command::Renew { session },
            SessionAct::Check => Command::Check { session, holder: Holder::App },
            SessionAct::Exchange => Command::Exchange { session, issued: UnixMs(self.now) },
        };
        match self.send(&command) {
            Outcome::Live(live) => {
                assert_eq!((live.name, live.start), (session, self.entered[&position].1));
                assert!(live.deadline > self.view().now);
            }
            Outcome::Done => assert_eq!(act, SessionAct::Finish),
            Outcome::Refused(Refusal::SessionOver) => assert_ne!(act, SessionAct::Finish),
            Outcome::Refused(Refusal::Superseded) => assert_eq!(act, SessionAct::Exchange),
            other => panic!("{act:?} of {position}: {other:?}"),
        }
    }

    /// The sale says what it has left; `grants` are positions, or buyers of another name.
    pub fn tell_stock(&mut self, newer: u64, available: u64, held: u64, grants: Vec<Option<u64>>) {
        let (seq, ..) = self.stock;
        if newer > 0 {
            self.stock = (seq + newer, available, held);
        }
        let grant = |position: Option<u64>| {
            let of = |position| self.entered.get(&position).map(|(tag, _)| (position, *tag));
            let session = position.map(|position| of(position).unwrap_or((position, Tag(0))));
            let named = |(position, tag)| SessionRef { epoch: self.epoch, position, tag };
            Grant { seq: seq + newer, session: session.map(named) }
        };
        let grants = grants.into_iter().map(grant).collect();
        let (seq, available, held) = self.stock;
        self.send(&Command::SetStock(news(seq, available, held, grants)));
        if let (Some(stock), true) = (self.view().stock, newer > 0) {
            assert_eq!((stock.seq, stock.available, stock.held), self.stock);
        }
    }

    /// News that were long under way.
    pub fn tell_old_stock(&mut self) {
        self.tick();
        let kept = self.room.clone();
        let Some(stock) = self.view().stock else { return };
        self.send(&Command::SetStock(news(stock.seq - 1, 1_000_000, 0, Vec::new())));
        assert_eq!(self.room, kept, "an older seq never wins");
        let former = dropgate::id::SaleId::parse("former").unwrap();
        self.send(&Command::SetStock(StockNews { sale: former, born: 9, ..news(1, 1_000_000, 0, Vec::new()) }));
        assert_eq!(self.room, kept, "another sale's word never counts");
    }

    pub fn forget_stock(&mut self) {
        self.send(&Command::ForgetStock);
        assert_eq!(self.view().stock, None);
    }

    pub fn reset(&mut self) {
        assert_eq!(self.send(&Command::Reset), Outcome::Done);
        let old = self.place(1);
        self.epoch += 1;
        self.tail = 0;
        self.entered.clear();
        self.promised.clear();
        self.left.clear();
        self.free.clear();
        assert_eq!(self.send(&Command::Look { place: old }), Outcome::Refused(Refusal::Reset));
    }

    /// The room as a snapshot would bring it back.
    pub fn restore(&mut self) {
        let bytes = postcard::to_stdvec(&self.room).unwrap();
        let restored: Option<Room> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(restored, self.room);
        self.room = restored;
    }

    fn witness_session(&mut self, session: Session, tag: Tag, now: UnixMs) {
        let position = session.name.position;
        assert!(!self.left.contains(&position), "{position} was given back");
        match self.entered.get(&position) {
            Some(first) => assert_eq!(*first, (session.name.tag, session.start), "one session a claim"),
            None => {
                assert_eq!((session.name.tag, session.start), (tag, now));
                self.entered.insert(position, (tag, now));
                if !self.free.contains(&position) {
                    self.bound.enter(now.0);
                }
            }
        }
    }

    /// Applies one command, and checks what holds of all of them.
    fn send(&mut self, command: &Command) -> Outcome {
        let before = self.room.as_ref().map(|room| room.view(UnixMs(self.now)));
        let applied = match self.witness {
            Witness::Thorough => self.apply_and_replay(command),
            Witness::Quick => Room::apply(&mut self.room, UnixMs(self.now), command),
        };
        let after = self.view();
        if let Some(before) = before.filter(|before| before.epoch == after.epoch) {
            self.check_step(command, &before, &after);
        }
        applied.outcome
    }

    fn apply_and_replay(&mut self, command: &Command) -> Applied {
        let kept = self.room.clone();
        let applied = Room::apply(&mut self.room, UnixMs(self.now), command);
        if applied.changed {
            let again = Room::apply(&mut self.replayed, UnixMs(self.now), command);
            assert_eq!(again, applied, "a replay of the changes alone comes to the same");
        } else {
            assert_eq!(self.room, kept, "{command:?} changed what it called unchanged");
        }
        assert_eq!(self.room, self.replayed);
        applied
    }

    fn check_step(&mut self, command: &Command, before: &View, after: &View) {
        assert!(before.head <= after.head && after.head <= after.tail);
        assert!(before.entered <= after.entered && before.lapsed <= after.lapsed);
        assert!(before.entered + before.lapsed + before.outstanding() == before.head);
        let free = before.phase == Phase::Free || after.phase == Phase::Free;
        if free {
            self.free.extend(before.head + 1..=after.head);
            return;
        }
        let taken = |view: &View| view.inside + view.outstanding();
        let room_before = self.rules.max_active.map_or(u64::MAX, |cap| cap.max(taken(before)));
        let configured = matches!(command, Command::Configure { .. });
        if !configured {
            assert!(taken(after) <= room_before, "more than max_active: {} > {room_before}", taken(after));
            self.check_no_burst(before, after);
            self.check_stock(before, after);
        }
        if !configured && after.phase != Phase::Running && after.head > before.head {
            panic!("somebody was called in phase {:?}", after.phase);
        }
    }

    /// With a gate that holds, those called and those inside who have not reserved never become more than there are
    /// units, and not at all while nothing recent is known of the stock.
    fn check_stock(&self, before: &View, after: &View) {
        let meant = |view: &View| view.outstanding() + view.undecided;
        if self.rules.stock_gate != StockGate::Hold || meant(after) <= meant(before) {
            return;
        }
        let stock = after.stock.expect("nobody is called while nothing is known of the stock");
        assert!(after.now < stock.good_until(), "called for stock last heard of at {:?}", stock.at);
        assert!(meant(after) <= stock.available, "{} for {} units", meant(after), stock.available);
    }

    /// Beyond the permits that lapsed calls gave back, one step calls no more than what may stand ready and a
    /// second's growth, however long nobody ticked.
    fn check_no_burst(&self, before: &View, after: &View) {
        let ready = self.rules.ready_units();
        let poured = (ready + ready.max(self.rules.rate_per_minute * GROWTH_MS)) / PERMIT;
        let called = after.head - before.head;
        let lapsed = after.lapsed - before.lapsed;
        assert!(called <= poured + lapsed, "{called} called at once, {lapsed} lapsed");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAct {
    Finish,
    Renew,
    Check,
    Exchange,
}

fn news(seq: u64, available: u64, held: u64, grants: Vec<Grant>) -> StockNews {
    let sale = dropgate::id::SaleId::parse("drop").unwrap();
    StockNews { sale, born: 1, term: 0, seq, available, held, phase: SalePhase::Open, grants }
}
