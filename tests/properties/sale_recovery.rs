//! A sale set back to how it was a while ago, as by a replica that was promoted too early, and told what it has lost.

use std::collections::BTreeMap;

use dropgate::{
    sale::{
        Command, Event, EventKind, OrderRef, Outcome, ReservationId, Sale, State,
        audit::Ledger,
        recovery::{Recovery, Stamp, Told},
        rows::RowKey,
    },
    time::UnixMs,
};
use proptest::prelude::*;

use crate::sale::{command, events, rules};

/// A sale, which batch changed each record last, and what those who were told of it remember.
#[derive(Clone)]
struct History {
    sale: Option<Sale>,
    term: u64,
    seq: u64,
    stamps: BTreeMap<ReservationId, Stamp>,
    facts: BTreeMap<RowKey, Told>,
}

impl History {
    fn new(now: UnixMs) -> Self {
        let configure = Command::Configure { version: 1, born: 1, rules: rules(9, Some(5), None), make: true };
        let (stamps, facts) = (BTreeMap::new(), BTreeMap::new());
        let mut history = Self { sale: None, term: 1, seq: 0, stamps, facts };
        history.apply(now, &[configure]);
        history
    }

    fn apply(&mut self, now: UnixMs, batch: &[Command]) {
        Sale::apply(&mut self.sale, now, batch);
        self.learn();
    }

    fn learn(&mut self) {
        self.seq += 1;
        let stamp = Stamp { term: self.term, seq: self.seq };
        let Some(sale) = &mut self.sale else { return };
        sale.note_changes();
        for (key, row) in sale.take_changes().rows {
            if let RowKey::Record(_, id) = key {
                self.stamps.insert(id, stamp);
            }
            let is_fact = matches!(key, RowKey::Rules | RowKey::Record(..) | RowKey::Restock(_));
            if let Some(row) = row.filter(|_| is_fact) {
                self.facts.insert(key, Told { stamp, born: 1, row });
            }
        }
    }

    /// Is told what another history's witnesses remember.
    fn hear(&mut self, now: UnixMs, other: &Self, term: Option<u64>) {
        self.term = term.unwrap_or(self.term);
        let told: Vec<_> = other.facts.values().cloned().collect();
        Sale::recover(&mut self.sale, &Recovery { now, term, buried: 0, told: &told, stored: &self.stamps });
        self.learn();
    }

    fn sale(&self) -> &Sale {
        self.sale.as_ref().unwrap()
    }

    fn look(&self, id: u128) -> Outcome {
        Sale::apply(&mut self.sale.clone(), UnixMs(0), &[Command::Look { id: ReservationId(id) }]).outcomes.remove(0)
    }

    /// Whether books, reservations and events agree, as of one batch: it expires what is due.
    fn check(&self, now: UnixMs) {
        let ask = [Command::Events { after: 0, term: u64::MAX, limit: usize::MAX }, Command::Items, Command::Walk];
        let outcomes = Sale::apply(&mut self.sale.clone(), now, &ask).outcomes;
        let [Outcome::Events(events), Outcome::Items(view), Outcome::Walked(walk)] = &outcomes[..] else {
            panic!("{outcomes:?}")
        };
        assert_eq!(walk.differences, []);
        let mut ledger = Ledger::default();
        events.iter().for_each(|event| ledger.fold(event).unwrap());
        ledger.compare(view.seq, &view.items).unwrap();
    }
}

fn batches(most: usize) -> impl Strategy<Value = Vec<(u64, Vec<Command>)>> {
    prop::collection::vec((0..900u64, prop::collection::vec(command(), 1..8)), 0..most)
}

fn live(history: &mut History, now: &mut UnixMs, batches: &[(u64, Vec<Command>)]) {
    for (dt, batch) in batches {
        *now = now.plus_ms(*dt);
        history.apply(*now, batch);
    }
}

/// The orders that an event sells to, or says that they are not sold to.
fn settled(event: &Event) -> Option<(ReservationId, OrderRef)> {
    match &event.kind {
        EventKind::Confirmed { id, order, .. } | EventKind::PaidTooLate { id, order, .. } => Some((*id, order.clone())),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_sale_told_all_it_lost_is_the_sale_it_was(before in batches(20), lost in batches(20), again in batches(6)) {
        let mut now = UnixMs(1_000_000);
        let mut replica = History::new(now);
        live(&mut replica, &mut now, &before);
        let mut primary = replica.clone();
        live(&mut primary, &mut now, &lost);
        replica.hear(now, &primary, Some(2));
        replica.check(now);
        for id in 0..24 {
            prop_assert_eq!(replica.look(id), primary.look(id));
        }
        prop_assert_eq!(replica.sale().view(now).items, primary.sale().view(now).items);
        prop_assert_eq!(replica.sale().view(now).version, primary.sale().view(now).version);
        // Told once more by somebody who comes late, nothing happens.
        let settled = replica.sale.clone();
        replica.hear(now, &primary, None);
        prop_assert_eq!(&replica.sale, &settled);
        // And it goes on.
        live(&mut replica, &mut now, &again);
        replica.check(now);
        // Readers that knew more than there is begin again where the histories part.
        let to_seq = events(replica.sale()).iter().find_map(|event| match event.kind {
            EventKind::Rewound { term: 2, to_seq } => Some(to_seq),
            _ => None,
        });
        let ask = Command::Events { after: u64::MAX >> 12, term: 1, limit: 1 };
        let Outcome::Events(next) = Sale::apply(&mut replica.sale, UnixMs(0), &[ask]).outcomes.remove(0) else { panic!() };
        prop_assert_eq!(next[0].seq, to_seq.unwrap() + 1);
    }

    #[test]
    fn two_histories_told_to_each_other_never_oversell_and_answer_every_payment(
        before in batches(15),
        lost in batches(15),
        meanwhile in batches(15),
    ) {
        let mut now = UnixMs(1_000_000);
        let mut replica = History::new(now);
        live(&mut replica, &mut now, &before);
        let (mut primary, mut later) = (replica.clone(), now);
        replica.hear(now, &History::new(now), Some(2));
        live(&mut primary, &mut later, &lost);
        live(&mut replica, &mut now, &meanwhile);
        now = now.max(later);
        let sold_before: Vec<_> = (0..24).filter(|id| is_sold(&replica.look(*id))).collect();
        replica.hear(now, &primary, None);
        replica.check(now);
        for id in sold_before {
            prop_assert!(is_sold(&replica.look(id)), "{id} was sold");
        }
        let answered: Vec<_> = events(replica.sale()).iter().filter_map(settled).collect();
        for id in 0..24 {
            if let Outcome::Reservation(found) = primary.look(id)
                && let State::Confirmed { order, .. } = found.state
            {
                prop_assert!(answered.contains(&(ReservationId(id), order)), "{id}: its payment vanished");
            }
        }
    }
}

fn is_sold(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reservation(found) if matches!(found.state, State::Confirmed { .. }))
}
