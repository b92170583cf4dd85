use proptest::{collection::vec, prelude::*};

use super::*;
use crate::store::catalog::{Command, Expect, Kind, Outcome};

fn name(n: u8) -> (Kind, String) {
    ([Kind::Room, Kind::Sale, Kind::SigningKey][usize::from(n % 3)], format!("it-{}", n / 3))
}

fn command() -> impl Strategy<Value = Command> {
    let named = (0..7_u8).prop_map(name);
    (named, 0..3_u8, 0..10_u8, 0..6_u64).prop_map(|((kind, id), body, what, n)| match what {
        // Keys are made once, and their ids not used again.
        _ if kind == Kind::SigningKey => {
            Command::Put { kind, id, body: format!("body {body}"), expect: Expect::Absent }
        }
        0..6 => Command::Put { kind, id, body: format!("body {body}"), expect: Expect::Any },
        6 | 7 => Command::Delete { kind, id, expect: Expect::Any, last_epoch: n },
        8 => Command::Made { kind, id, born: n },
        _ => Command::Lift { kind, id, above: n },
    })
}

fn after(start: &Catalog, commands: &[Command]) -> Catalog {
    let mut catalog = start.clone();
    commands.iter().for_each(|command| drop(catalog.apply(command)));
    catalog
}

/// A common past, and what two went on to without each other.
fn fork() -> impl Strategy<Value = (Catalog, Catalog, Catalog)> {
    let some = || vec(command(), 0..12);
    (some(), some(), some()).prop_map(|(past, one, two)| {
        let past = after(&Catalog::default(), &past);
        (after(&past, &one), after(&past, &two), past)
    })
}

proptest! {
    #[test]
    fn it_is_the_same_whoever_asks((one, two, _) in fork()) {
        prop_assert_eq!(one.merge(&two), two.merge(&one));
    }

    #[test]
    fn once_is_enough((one, two, past) in fork()) {
        let merged = one.merge(&two);
        for known in [&one, &two, &past, &merged] {
            prop_assert_eq!(&merged.merge(known), &merged);
        }
        prop_assert_eq!(&one.merge(&one), &one);
    }

    #[test]
    fn who_went_on_from_the_other_is_what_both_come_to((later, _, past) in fork()) {
        prop_assert_eq!(past.merge(&later), later);
    }

    #[test]
    fn nothing_that_one_holds_is_lost((one, two, _) in fork()) {
        let merged = one.merge(&two);
        for (name, entry) in one.entries.iter().chain(&two.entries) {
            let found = merged.entries.get(name).map(|entry| entry.version);
            let version = found.or_else(|| merged.tombstones.get(name).copied());
            prop_assert!(version >= Some(entry.version), "{name:?}");
        }
        prop_assert!(merged.revision >= one.revision.max(two.revision));
        prop_assert!(merged.entries.values().all(|entry| entry.version <= merged.revision));
        prop_assert!(merged.tombstones.keys().all(|name| !merged.entries.contains_key(name)));
    }

    #[test]
    fn no_key_is_lost((one, two, _) in fork()) {
        let merged = one.merge(&two);
        let is_key = |entry: &&Entry| entry.kind == Kind::SigningKey;
        for key in one.entries.values().chain(two.entries.values()).filter(is_key) {
            let is_there = |found: &Entry| found.kind == key.kind && found.body == key.body;
            prop_assert!(merged.entries.values().any(is_there), "{key:?}");
        }
    }

    /// Documents that differ never bear one version: who obeys the one would never obey the other.
    #[test]
    fn a_version_names_one_text((one, two, _) in fork()) {
        let merged = one.merge(&two);
        for known in [&one, &two] {
            for (name, entry) in &known.entries {
                if let Some(found) = merged.entries.get(name).filter(|found| found.version == entry.version) {
                    prop_assert_eq!(&found.body, &entry.body);
                }
            }
        }
    }

    #[test]
    fn of_one_revision_there_is_one_catalog((one, two, _) in fork()) {
        let merged = one.merge(&two);
        for known in [&one, &two] {
            prop_assert!(merged.revision > known.revision || merged == *known);
        }
    }
}

#[test]
fn a_sale_once_made_stays_made_until_it_is_another() {
    let (kind, id) = (Kind::Sale, "drop".to_owned());
    let put = |body: &str| Command::Put { kind, id: id.clone(), body: body.to_owned(), expect: Expect::Any };
    let past = after(&Catalog::default(), &[put("a")]);
    let saw = after(&past, &[Command::Made { kind, id: id.clone(), born: 1 }]);
    let wrote = after(&past, &[put("b"), put("c")]);
    let merged = saw.merge(&wrote);
    assert_eq!(merged.entries[&(kind, id.clone())], Entry { made: true, ..wrote.entries[&(kind, id.clone())].clone() });
    let delete = Command::Delete { kind, id: id.clone(), expect: Expect::Any, last_epoch: 0 };
    let anew = after(&past, &[delete, put("d")]);
    assert!(!saw.merge(&anew).entries[&(kind, id)].made, "that is another sale");
}

#[test]
fn a_lifted_document_can_be_obeyed_again() {
    let (kind, id) = (Kind::Room, "main".to_owned());
    let put = Command::Put { kind, id: id.clone(), body: "a".to_owned(), expect: Expect::Absent };
    let mut catalog = after(&Catalog::default(), &[put]);
    assert_eq!(catalog.apply(&Command::Lift { kind, id: id.clone(), above: 7 }), Outcome::Done);
    assert_eq!((catalog.revision(), catalog.entries[&(kind, id.clone())].version), (8, 8));
    catalog.apply(&Command::Lift { kind, id, above: 7 });
    assert_eq!(catalog.revision(), 8, "it is already");
}

#[test]
fn a_second_key_that_was_removed_does_not_come_back() {
    let put = |body: &str| {
        let (kind, id) = (Kind::SigningKey, "pass-1".to_owned());
        after(&Catalog::default(), &[Command::Put { kind, id, body: body.to_owned(), expect: Expect::Absent }])
    };
    let (one, two) = (put("a"), put("b"));
    let merged = one.merge(&two);
    assert_eq!(merged.entries.len(), 2);
    let second = merged.entries.keys().find(|(_, id)| id != "pass-1").unwrap().1.clone();
    let delete = Command::Delete { kind: Kind::SigningKey, id: second, expect: Expect::Any, last_epoch: 0 };
    let removed = after(&merged, &[delete]);
    assert_eq!(removed.merge(&one).merge(&two).entries, removed.entries);
}
