//! A sale kept as rows: whatever was done to it, the rows that it says have changed make the same sale again.

use std::collections::BTreeMap;

use dropgate::{
    sale::{
        Command, Outcome, ReservationId, Sale, State,
        rows::{BadRows, Rebuild, Row, RowKey},
    },
    time::UnixMs,
};
use proptest::prelude::*;

use crate::sale::{command, reserve, rules};

/// Keeps rows as a store does.
#[derive(Clone, Default)]
struct Keeper(BTreeMap<RowKey, Row>);

impl Keeper {
    fn keep(&mut self, sale: &mut Sale) {
        let told = sale.changed_rows();
        let changes = sale.take_changes();
        assert!(changes.rows.len() <= told + 1, "{} rows, though {told} had changed", changes.rows.len());
        if changes.is_new {
            self.0.clear();
        }
        for (key, row) in changes.rows {
            match row {
                Some(row) => {
                    assert_eq!(row.key(), key);
                    self.0.insert(key, row);
                }
                None => _ = self.0.remove(&key),
            }
        }
        assert_eq!(sale.changed_rows(), 0);
    }

    fn make(&self) -> Result<Sale, BadRows> {
        let mut rebuild = Rebuild::default();
        self.0.values().cloned().for_each(|row| rebuild.add(row));
        rebuild.finish()
    }
}

fn configure(born: u64) -> Command {
    Command::Configure { version: born, born, rules: rules(9, Some(5), Some(7)), make: true }
}

/// Steps of a life: mostly commands, now and then a day in which everything is forgotten, and now and then another
/// sale of the same id.
fn life() -> impl Strategy<Value = Vec<(u64, Vec<Command>)>> {
    let dt = prop_oneof![20 => 0..900u64, 1 => Just(25 * 3_600_000)];
    let batch = prop_oneof![
        20 => prop::collection::vec(command(), 1..8),
        1 => (10..15u64).prop_map(|born| vec![configure(born)]),
        1 => (10..15u64).prop_map(|born| vec![Command::Delete { born }, configure(born + 1)]),
    ];
    prop::collection::vec((dt, batch), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_rows_that_changed_make_the_same_sale_again(life in life(), every in 1..6usize) {
        let mut sale = None;
        let mut now = UnixMs(1_000_000);
        Sale::apply(&mut sale, now, &[configure(1)]);
        let mut keeper = Keeper::default();
        for (n, (dt, batch)) in life.into_iter().enumerate() {
            now = now.plus_ms(dt);
            Sale::apply(&mut sale, now, &batch);
            let Some(sale) = &mut sale else { continue };
            sale.note_changes();
            if n % every == 0 {
                keeper.keep(sale);
                let again = keeper.make();
                prop_assert_eq!(again.as_ref(), Ok(&*sale));
            }
        }
    }
}

fn sale_of(holds: u128) -> (Option<Sale>, UnixMs) {
    let (mut sale, now) = (None, UnixMs(1_000_000));
    let rules = rules(1_000_000, None, None);
    Sale::apply(&mut sale, now, &[Command::Configure { version: 1, born: 1, rules, make: true }]);
    for id in 0..holds {
        Sale::apply(&mut sale, now, &[reserve(id, id as usize % 5, 1)]);
        if id % 20 == 0 {
            Sale::apply(&mut sale, now, &[Command::Release { id: ReservationId(id) }]);
        }
    }
    (sale, now)
}

#[test]
fn what_one_command_changes_is_a_few_rows_however_many_there_are() {
    let (mut sale, now) = sale_of(50);
    let sale_now = sale.as_mut().unwrap();
    sale_now.note_changes();
    Keeper::default().keep(sale_now);
    Sale::apply(&mut sale, now, &[reserve(1_001, 3, 1)]);
    // The reservation, its SKU, its event, and the head.
    assert_eq!(sale.as_mut().unwrap().take_changes().rows.len(), 4);
    Sale::apply(&mut sale, now, &[Command::Look { id: ReservationId(1_001) }, Command::Items]);
    assert_eq!(sale.unwrap().changed_rows(), 0);
}

#[test]
fn rows_that_are_missing_or_do_not_agree_are_no_sale() {
    let (mut sale, _) = sale_of(50);
    let sale = sale.as_mut().unwrap();
    sale.note_changes();
    let mut keeper = Keeper::default();
    keeper.keep(sale);
    assert_eq!(keeper.make().as_ref(), Ok(&*sale));
    for key in keeper.0.keys() {
        let mut damaged = keeper.clone();
        damaged.0.remove(key);
        assert!(damaged.make().is_err(), "a sale without {key:?}");
    }
    // A row of an earlier moment.
    let records = keeper.0.keys().filter(|key| matches!(key, RowKey::Record(..))).cloned().collect::<Vec<_>>();
    let mut now = Some(sale.clone());
    let ids: Vec<Command> = (0..50).map(|id| Command::Release { id: ReservationId(id) }).collect();
    Sale::apply(&mut now, UnixMs(1_000_001), &ids);
    let mut later = keeper.clone();
    later.keep(now.as_mut().unwrap());
    for key in records.iter().filter(|key| later.0[*key] != keeper.0[*key]) {
        let mut damaged = later.clone();
        damaged.0.insert(key.clone(), keeper.0[key].clone());
        assert!(matches!(damaged.make(), Err(BadRows::Books(_))), "a sale with an older {key:?}");
    }
}

#[test]
fn the_past_that_is_trimmed_takes_its_rows_with_it() {
    let (mut sale, now) = sale_of(0);
    sale.as_mut().unwrap().note_changes();
    let mut keeper = Keeper::default();
    for id in 0..56_000 {
        let batch = [reserve(id, 0, 1), Command::Release { id: ReservationId(id) }];
        let by_nobody = batch.map(|command| match command {
            Command::Reserve(ask) => Command::Reserve(dropgate::sale::Reserve { buyer: None, ..ask }),
            other => other,
        });
        Sale::apply(&mut sale, now, &by_nobody);
        if id % 500 == 0 {
            keeper.keep(sale.as_mut().unwrap());
        }
    }
    let sale = sale.as_mut().unwrap();
    keeper.keep(sale);
    let first = sale.first_event();
    assert!(first > 1, "nothing was trimmed");
    // Rows of what was trimmed may lie about.
    assert!(keeper.0.contains_key(&RowKey::Event(first - 1)));
    assert_eq!(keeper.make().as_ref(), Ok(&*sale));
    keeper.0.retain(|key, _| !matches!(key, RowKey::Event(seq) if *seq < first));
    assert_eq!(keeper.make().as_ref(), Ok(&*sale));
    let mut again = Some(keeper.make().unwrap());
    let Outcome::Reservation(found) =
        Sale::apply(&mut again, now, &[Command::Look { id: ReservationId(7) }]).outcomes.remove(0)
    else {
        panic!("forgotten")
    };
    assert!(matches!(found.state, State::Released { .. }));
}
