//! A sale's keys, read back as a sale.

use std::collections::{BTreeMap, BTreeSet};

use redis::Connection;

use crate::{
    sale::{
        ReservationId, Sale,
        recovery::Stamp,
        rows::{Rebuild, Row},
        stock::TOMBSTONE_MS,
    },
    store::redis::{
        sale::decode::{event, rules},
        scripted::keys,
        wire::Words,
    },
};

const LAST: &str = "~";

/// Reads keys.
pub struct Keys(Connection);

type Fields = BTreeMap<String, String>;

/// A record's words, as far as the other keys have to do with them.
struct Record {
    buyer: Option<String>,
    state: String,
    at: u64,
    lines: BTreeMap<String, u64>,
    json: String,
}

impl Keys {
    pub fn new(connection: Connection) -> Self {
        Self(connection)
    }

    /// All that the keys of a sale hold, in an order of its own.
    pub fn contents(&mut self, id: &str) -> Vec<BTreeSet<Vec<Vec<u8>>>> {
        let mut read = |key: &String| -> BTreeSet<Vec<Vec<u8>>> {
            let kind: String = redis::cmd("TYPE").arg(key).query(&mut self.0).unwrap();
            let read = match &kind[..] {
                "none" => return BTreeSet::new(),
                "hash" => redis::cmd("HGETALL").arg(key).query(&mut self.0),
                "zset" => redis::cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES").query(&mut self.0),
                "stream" => redis::cmd("XINFO")
                    .arg("STREAM")
                    .arg(key)
                    .query(&mut self.0)
                    .map(|info: redis::Value| vec![format!("{info:?}").into_bytes(), Vec::new()]),
                other => panic!("{other}"),
            };
            read.unwrap().chunks(2).map(<[_]>::to_vec).collect()
        };
        keys::<Sale>(id).iter().map(&mut read).collect()
    }

    /// Up to which birth sales of this id were deleted.
    pub fn buried(&mut self, id: &str) -> u64 {
        self.hash(id, "main").get("buried").map_or(0, |born| born.parse().unwrap())
    }

    /// Which batch changed each record last.
    pub fn stamps(&mut self, id: &str) -> BTreeMap<ReservationId, Stamp> {
        let stamp = |(id, row): (String, String)| {
            let mut words = row.split(' ').map(|word| word.parse().unwrap());
            (ReservationId(number(&id)), Stamp { term: words.next().unwrap(), seq: words.next().unwrap() })
        };
        self.hash(id, "records").into_iter().map(stamp).collect()
    }

    /// The keys as a replica has them, to be given back by [`Keys::set_back`].
    pub fn dump(&mut self, id: &str) -> Vec<(String, Vec<u8>)> {
        let dump = |key: String| {
            let dump = redis::cmd("DUMP").arg(&key).query(&mut self.0).unwrap();
            (key, dump)
        };
        keys::<Sale>(id).into_iter().map(dump).collect()
    }

    /// Sets all back, on a server of another name.
    pub fn set_back(&mut self, dump: &[(String, Vec<u8>)]) {
        for (key, dump) in dump {
            redis::cmd("RESTORE").arg(key).arg(0).arg(&dump[..]).arg("REPLACE").exec(&mut self.0).unwrap();
        }
        redis::cmd("HSET").arg(&dump[0].0).arg("stamp").arg("another").exec(&mut self.0).unwrap();
    }

    fn hash(&mut self, id: &str, end: &str) -> Fields {
        let mut fields: Fields = redis::cmd("HGETALL").arg(format!("{{s:{id}}}:{end}")).query(&mut self.0).unwrap();
        assert!(!fields.is_empty(), "{end} is not there");
        fields.retain(|field, value| field != LAST || !value.is_empty());
        fields
    }

    fn zset(&mut self, id: &str, end: &str) -> BTreeSet<(u64, String)> {
        let key = format!("{{s:{id}}}:{end}");
        let members: Vec<(String, f64)> =
            redis::cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES").query(&mut self.0).unwrap();
        assert_eq!(members.last().map(|(member, _)| &member[..]), Some(LAST), "{end}");
        let members = members.into_iter().filter(|(member, _)| member != LAST);
        members.map(|(member, score)| (score as u64, member)).collect()
    }

    /// The sale that the keys are; none if there is none. Whatever is kept twice must agree.
    pub fn sale(&mut self, id: &str) -> Option<Sale> {
        let main = self.hash(id, "main");
        let mut stock = self.hash(id, "stock");
        let (due, fading) = (self.zset(id, "due"), self.zset(id, "fading"));
        let (buyers, records, restocks) =
            (self.hash(id, "buyers"), self.hash(id, "records"), self.hash(id, "restocks"));
        let events = self.events(id);
        let Some(figures) = main.get("figures") else {
            assert!(stock.is_empty() && buyers.is_empty() && records.is_empty() && restocks.is_empty());
            assert!(due.is_empty() && fading.is_empty() && events.is_empty());
            return None;
        };
        let figures: Vec<u64> = figures.split(' ').map(|word| word.parse().unwrap()).collect();
        let [version, born, available, held, seq, first] = figures[..] else { panic!("{figures:?}") };
        let records: BTreeMap<_, _> = records.iter().map(|(id, row)| (id.clone(), record(row))).collect();
        assert_eq!(due, dues(&records), "due");
        assert_eq!(
            buyers.into_iter().map(|(name, row)| (name, count(&row))).collect::<BTreeMap<_, _>>(),
            counts(&records, &fading)
        );
        let events: Vec<_> = events.into_iter().filter(|(seq, _)| *seq >= first).collect();
        let mut rebuild = Rebuild::default();
        let mut add =
            |json: String| rebuild.add(serde_json::from_str::<Row>(&json).unwrap_or_else(|e| panic!("{e}: {json}")));
        let text = stock.remove(" ").unwrap();
        let rewinds: Vec<&str> = main.get("rewinds").map_or("", |rewinds| rewinds).split_whitespace().collect();
        let rewind = |pair: &[&str]| format!(r#"{{"term":{},"to_seq":{}}}"#, pair[0], pair[1]);
        let rewinds: Vec<_> = rewinds.chunks(2).map(rewind).collect();
        let (events_len, records_len, restocks_len) = (events.len(), records.len(), restocks.len());
        add(format!(
            r#"{{"Head":{{"last":{},"seq":{},"rewinds":[{}],"events":{events_len},"records":{records_len},"restocks":{restocks_len},"skus":{}}}}}"#,
            main["last"],
            seq,
            rewinds.join(","),
            stock.len()
        ));
        assert!(text.starts_with(&main["rules"]), "{text}: {}", main["rules"]);
        let rules = rules(&mut Words::of(&text)).unwrap();
        for (sku, item) in &rules.items {
            let limit = stock[sku.as_str()].rsplit(' ').next().unwrap().parse().ok();
            assert_eq!(limit, item.per_buyer, "{sku}");
        }
        let rules = serde_json::to_string(&rules).unwrap();
        add(format!(r#"{{"Rules":{{"version":{version},"born":{born},"rules":{rules}}}}}"#));
        for (sku, row) in &stock {
            let w: Vec<&str> = row.split(' ').collect();
            let stock = format!(r#"{{"total":{},"available":{},"held":{},"sold":{}}}"#, w[0], w[1], w[2], w[3]);
            add(format!(r#"{{"Stock":{{"sku":{},"stock":{stock}}}}}"#, quoted(sku)));
        }
        let mut fades = BTreeSet::new();
        for (id, row) in &restocks {
            let (at, json) = restock(id, row);
            assert!(fades.insert((at + TOMBSTONE_MS, id.clone())));
            add(json);
        }
        for (id, record) in &records {
            let key = (record.at + TOMBSTONE_MS, id.clone());
            let is_fading = record.state != "H" && fading.contains(&key);
            if is_fading {
                fades.insert(key);
            }
            add(format!(r#"{{"Record":{{"id":{},"record":{},"fades":{is_fading}}}}}"#, number(id), record.json));
        }
        assert_eq!(fading, fades, "fading");
        for (seq, text) in events {
            add(format!(r#"{{"Event":{}}}"#, serde_json::to_string(&event(seq, &text).unwrap()).unwrap()));
        }
        let sale = rebuild.finish().unwrap();
        // The sums over all SKUs, which the script keeps, are those of the sale.
        let header = sale.header(crate::time::UnixMs(0));
        assert_eq!((available, held), (header.available, header.held));
        Some(sale)
    }

    /// All events, by their numbers.
    fn events(&mut self, id: &str) -> Vec<(u64, String)> {
        let entries: Vec<(String, Vec<String>)> =
            redis::cmd("XRANGE").arg(format!("{{s:{id}}}:events")).arg("-").arg("+").query(&mut self.0).unwrap();
        let entries = entries.into_iter().flat_map(|(id, fields)| {
            let last: u64 = id.split('-').next().unwrap().parse().unwrap();
            let texts: Vec<String> = fields[1].split('\t').map(str::to_owned).collect();
            (last + 1 - texts.len() as u64..).zip(texts).collect::<Vec<_>>()
        });
        entries.collect()
    }
}

/// A fact as the machine takes it: the birth of its sale, and the row.
pub fn told(key: &str, value: &str) -> (u64, Row) {
    let (first, rest) = value.split_once(' ').unwrap();
    let json = match key.split_at(1) {
        ("r", id) => {
            let record = record(&format!("0 0 {rest}"));
            format!(r#"{{"Record":{{"id":{},"record":{},"fades":true}}}}"#, number(id), record.json)
        }
        ("k", id) => restock(id, &format!("0 0 {rest}")).1,
        ("g", "") => {
            let (born, text) = rest.split_once(' ').unwrap();
            let rules = serde_json::to_string(&rules(&mut Words::of(text)).unwrap()).unwrap();
            let row = format!(r#"{{"Rules":{{"version":{first},"born":{born},"rules":{rules}}}}}"#);
            return (born.parse().unwrap(), serde_json::from_str(&row).unwrap());
        }
        other => panic!("{other:?}"),
    };
    (first.parse().unwrap(), serde_json::from_str(&json).unwrap())
}

/// A restock: when it was, and its row.
fn restock(id: &str, row: &str) -> (u64, String) {
    let w: Vec<&str> = row.split(' ').collect();
    let restock = format!(r#"{{"sku":{},"delta":{},"at":{}}}"#, quoted(w[2]), w[3], w[4]);
    (w[4].parse().unwrap(), format!(r#"{{"Restock":{{"id":{},"restock":{restock}}}}}"#, number(id)))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn number(hex: &str) -> u128 {
    u128::from_str_radix(hex, 16).unwrap()
}

fn name(word: &str) -> Option<String> {
    word.strip_prefix('=').map(str::to_owned)
}

fn record(row: &str) -> Record {
    let mut words = row.split(' ').skip(2);
    let mut word = || words.next().unwrap().to_owned();
    let (print, buyer, created, extensions) = (number(&word()), name(&word()), word(), word());
    let (state, at, mark) = (word(), word().parse::<u64>().unwrap(), word());
    let mut list = |size: usize| -> Vec<String> {
        let count: usize = word().parse().unwrap();
        (0..count * size).map(|_| word()).collect()
    };
    let (lines, keys, orders) = (list(2), list(1), list(1));
    let lines: BTreeMap<_, _> = lines.chunks(2).map(|line| (line[0].clone(), line[1].parse().unwrap())).collect();
    let keys: Vec<_> = keys.iter().map(|key| number(key).to_string()).collect();
    let state_json = match &state[..] {
        "H" => format!(r#"{{"Held":{{"deadline":{at},"paying":{}}}}}"#, mark == "1"),
        "C" => format!(r#"{{"Confirmed":{{"order":{},"at":{at}}}}}"#, quoted(&mark)),
        "R" => format!(r#"{{"Released":{{"at":{at}}}}}"#),
        "E" => format!(r#"{{"Expired":{{"at":{at}}}}}"#),
        other => panic!("{other}"),
    };
    let json = format!(
        r#"{{"fingerprint":{print},"buyer":{},"lines":{},"created":{created},"extensions":{extensions},"extended_by":[{}],"state":{state_json},"late_orders":{}}}"#,
        serde_json::to_string(&buyer).unwrap(),
        serde_json::to_string(&lines).unwrap(),
        keys.join(","),
        serde_json::to_string(&orders).unwrap(),
    );
    Record { buyer, state, at, lines, json }
}

/// What is watched: the deadlines of the live holds.
fn dues(records: &BTreeMap<String, Record>) -> BTreeSet<(u64, String)> {
    let held = records.iter().filter(|(_, record)| record.state == "H");
    held.map(|(id, record)| (record.at, id.clone())).collect()
}

/// Grants, units in all, units by SKU.
type Count = (u64, u64, BTreeMap<String, u64>);

fn count(row: &str) -> Count {
    let w: Vec<&str> = row.split(' ').collect();
    let units = w[2..].chunks(2).map(|line| (line[0].to_owned(), line[1].parse().unwrap())).collect();
    (w[0].parse().unwrap(), w[1].parse().unwrap(), units)
}

/// What each buyer has, by the records.
fn counts(records: &BTreeMap<String, Record>, fading: &BTreeSet<(u64, String)>) -> BTreeMap<String, Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for (id, record) in records {
        let Some(buyer) = &record.buyer else { continue };
        let count = counts.entry(format!("={buyer}")).or_default();
        let is_held = record.state == "H";
        count.0 += u64::from(is_held || fading.contains(&(record.at + TOMBSTONE_MS, id.clone())));
        if is_held || record.state == "C" {
            for (sku, units) in &record.lines {
                count.1 += units;
                *count.2.entry(sku.clone()).or_default() += units;
            }
        }
    }
    counts
}
