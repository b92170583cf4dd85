//! A room's keys, read back into what the machine's own state looks like.

use std::collections::BTreeMap;

use redis::{Connection, FromRedisValue};
use serde_json::{Map, Value, json};

use crate::{
    room::Room,
    store::redis::{room, scripted, wire::Words},
};

type Bytes = Vec<u8>;

fn ask<T: FromRedisValue>(connection: &mut Connection, command: &str, args: &[&str]) -> T {
    let mut call = redis::cmd(command);
    args.iter().for_each(|arg| _ = call.arg(arg));
    call.query(connection).unwrap()
}

/// The keys of a room, by what they end with.
fn names(id: &str) -> BTreeMap<String, String> {
    scripted::keys::<Room>(id).into_iter().map(|key| (key.rsplit(':').next().unwrap().to_owned(), key)).collect()
}

/// How often the room was written to, and the answers that were kept.
pub fn traces(connection: &mut Connection, id: &str) -> Vec<BTreeMap<String, Bytes>> {
    scripted::keys::<Room>(id).iter().take(2).map(|key| ask(connection, "HGETALL", &[key])).collect()
}

/// An ordered set without its sentinel.
fn zset(connection: &mut Connection, key: &str) -> Result<Vec<(String, u64)>, String> {
    let all: Vec<(String, f64)> = ask(connection, "ZRANGE", &[key, "0", "-1", "WITHSCORES"]);
    match all.split_last() {
        Some((last, members)) if *last == ("~".to_owned(), f64::INFINITY) => {
            Ok(members.iter().map(|(member, score)| (member.clone(), *score as u64)).collect())
        }
        _ => Err(format!("{key} without its sentinel: {all:?}")),
    }
}

/// A hash without its sentinel.
fn hash(connection: &mut Connection, key: &str) -> Result<BTreeMap<String, Bytes>, String> {
    let mut all: BTreeMap<String, Bytes> = ask(connection, "HGETALL", &[key]);
    all.remove("~").map(|_| all).ok_or_else(|| format!("{key} without its sentinel"))
}

/// The room in the keys, as the machine serialises itself; none if there is none. Says what does not fit together.
pub fn read(connection: &mut Connection, id: &str) -> Result<Option<Value>, String> {
    let names = names(id);
    let main: BTreeMap<String, String> = ask(connection, "HGETALL", &[&names["main"]]);
    if !main.contains_key("figures") {
        return nothing_left(connection, &names, !main.is_empty()).map(|()| None);
    }
    let figures: Vec<u64> = main["figures"].split(' ').map(|word| word.parse().unwrap()).collect();
    let [version, epoch, tail, head, entered, lapsed, credit, joins] = figures[..] else { panic!("{figures:?}") };
    let bits = bits(hash(connection, &names["claimed"])?);
    check_left(zset(connection, &names["left"])?, &bits, head)?;
    let (by_last, by_deadline) = calls(connection, &names, &bits)?;
    let sessions = sessions(connection, &names)?;
    let buckets: Map<String, Value> = ["past", "bucket"]
        .iter()
        .filter_map(|field| main.get(*field))
        .flat_map(|text| text.split(' '))
        .map(|word| room::bucket(word).unwrap())
        .map(|(index, bucket)| (index.to_string(), json!(bucket)))
        .collect();
    let stock = main.get("stock").and_then(|text| room::stock(&mut Words::of(text)).unwrap());
    let voids = main
        .get("voids")
        .map_or(json!([]), |text| text.split(',').map(|range| json!(room::void(range).unwrap())).collect());
    Ok(Some(json!({
        "version": version,
        "rules": room::rules(&mut Words::of(&main["rules"])).unwrap(),
        "epoch": epoch,
        "last": main["last"].parse::<u64>().unwrap(),
        "tail": tail,
        "head": head,
        "joins": joins,
        "entered": entered,
        "lapsed": lapsed,
        "credit": credit,
        "calls": { "by_last": by_last, "by_deadline": by_deadline },
        "claimed": { "chunks": chunks(&bits) },
        "sessions": sessions,
        "observed": { "buckets": buckets },
        "stock": stock,
        "voids": voids,
        "owed_until": main.get("owed").map_or(0, |text| text.parse::<u64>().unwrap()),
    })))
}

/// A room that was deleted keeps its header for a while, and its keys are empty.
fn nothing_left(connection: &mut Connection, names: &BTreeMap<String, String>, was_made: bool) -> Result<(), String> {
    if !was_made {
        return Ok(());
    }
    for (end, key) in names.iter().filter(|(end, _)| *end != "main" && *end != "sent" && *end != "seen") {
        let kind: String = ask(connection, "TYPE", &[key]);
        let left = if kind == "zset" { zset(connection, key)?.len() } else { hash(connection, key)?.len() };
        let ttl: i64 = ask(connection, "PTTL", &[key]);
        if left > 0 || ttl < 0 {
            return Err(format!("{left} members and {ttl} ms left in {end} of a deleted room"));
        }
    }
    Ok(())
}

/// The positions resolved, by chunks of 2048.
fn bits(chunks: BTreeMap<String, Bytes>) -> BTreeMap<u64, Bytes> {
    chunks.into_iter().map(|(index, bytes)| (index.parse().unwrap(), bytes)).collect()
}

fn chunks(bits: &BTreeMap<u64, Bytes>) -> Map<String, Value> {
    let words = |bytes: &Bytes| {
        let word = |eight: &[u8]| u64::from_le_bytes(eight.try_into().unwrap());
        bytes.chunks(8).map(word).collect::<Vec<u64>>()
    };
    bits.iter().map(|(index, bytes)| (index.to_string(), json!(words(bytes)))).collect()
}

fn positions(bits: &BTreeMap<u64, Bytes>) -> impl Iterator<Item = u64> {
    bits.iter().flat_map(|(index, bytes)| {
        let is_set = |offset: &u64| bytes[(offset / 8) as usize] & (1 << (offset % 8)) != 0;
        (0..2048).filter(is_set).map(move |offset| index * 2048 + offset)
    })
}

fn check_left(left: Vec<(String, u64)>, bits: &BTreeMap<u64, Bytes>, head: u64) -> Result<(), String> {
    let ahead: Vec<u64> = positions(bits).filter(|position| *position > head).collect();
    let fits = left.iter().all(|(member, score)| *member == format!("{score:016}"));
    let left: Vec<u64> = left.into_iter().map(|(_, score)| score).collect();
    if left == ahead && fits { Ok(()) } else { Err(format!("given back ahead of {head}: {left:?}, not {ahead:?}")) }
}

fn calls(
    connection: &mut Connection,
    names: &BTreeMap<String, String>,
    bits: &BTreeMap<u64, Bytes>,
) -> Result<(Map<String, Value>, Vec<Value>), String> {
    let mut resolved = hash(connection, &names["resolved"])?;
    let mut by_last = Map::new();
    let mut due = Vec::new();
    for (member, score) in zset(connection, &names["calls"])? {
        let words: Vec<&str> = member.split(' ').collect();
        let [last, first, deadline, cost] = words[..] else { return Err(format!("a call {member:?}")) };
        let number = |text: &str| text.parse::<u64>().unwrap();
        let (last, first, deadline) = (number(last), number(first), number(deadline));
        let cost = if cost == "permit" { "Permit" } else { "Free" };
        let counted = positions(bits).filter(|position| (first..=last).contains(position)).count();
        let noted = resolved.remove(&first.to_string()).map_or(0, |text| number(&String::from_utf8(text).unwrap()));
        if counted as u64 != noted || score != last {
            return Err(format!("{noted} of {counted} counted in the call {member:?} at {score}"));
        }
        by_last.insert(last.to_string(), json!({ "first": first, "last": last, "deadline": deadline, "cost": cost }));
        due.push((deadline, member.clone(), last));
    }
    if !resolved.is_empty() {
        return Err(format!("counts of no call: {resolved:?}"));
    }
    due.sort();
    let by_deadline: Vec<(u64, String)> = due.iter().map(|(at, member, _)| (*at, member.clone())).collect();
    let stored = zset(connection, &names["calls_due"])?;
    if stored.iter().map(|(member, score)| (*score, member.clone())).ne(by_deadline) {
        return Err(format!("the calls {due:?} are due as {stored:?}"));
    }
    Ok((by_last, due.into_iter().map(|(at, _, last)| json!([at, last])).collect()))
}

fn sessions(connection: &mut Connection, names: &BTreeMap<String, String>) -> Result<Value, String> {
    let mut by_position = Map::new();
    for (member, text) in hash(connection, &names["sessions"])? {
        let text = String::from_utf8(text).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let [tag, start, deadline, exchanged, undecided, _claimable] = words[..] else {
            return Err(format!("a session {text:?}"));
        };
        let number = |text: &str| text.parse::<u64>().unwrap();
        let live = json!({
            "tag": u64::from_str_radix(tag, 16).unwrap(),
            "start": number(start),
            "deadline": number(deadline),
            "exchanged": number(exchanged),
            "undecided": (undecided != "-").then(|| number(undecided)),
        });
        by_position.insert(number(&member).to_string(), live);
    }
    let mut order = |end: &str| -> Result<Vec<Value>, String> {
        let members = zset(connection, &names[end])?;
        Ok(members.into_iter().map(|(member, at)| json!([at, member.parse::<u64>().unwrap()])).collect())
    };
    let (by_deadline, undecided) = (order("due")?, order("undecided")?);
    Ok(json!({ "by_position": by_position, "by_deadline": by_deadline, "undecided": undecided }))
}
