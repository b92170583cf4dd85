//! How the server calls the script of its sale, as Redis heard it: the benchmark repeats a call of the server's with other
//! names in it, and knows no more of its form than stands here.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use redis::Cmd;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::server::Redis;
use crate::server::{ADMIN_KEY, Server};

/// Who reserves in the call that is overheard, told from everything else in it.
const BUYER: &str = "overheard-buyer";
/// The word with which a reservation begins; the one before it says how many commands there are.
const COMMAND: &str = "reserve";
/// Where a reservation has its id and its fingerprint, counted from that word.
const ID: usize = 1;
const PRINT: usize = 2;
/// How long to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// A word of the list that is a call's one argument.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
enum Word {
    Text(String),
    Number(u64),
}

/// One call with one reservation, taken apart.
#[derive(Clone, Serialize, Deserialize)]
pub struct Overheard {
    /// The command, the script and its keys.
    call: Vec<String>,
    /// The list, up to the number of commands.
    head: Vec<Word>,
    /// Where the instance is named in it; its batch's number is the next word.
    instance: usize,
    /// The reservation.
    command: Vec<Word>,
    /// Where it names its buyer.
    buyer: usize,
}

/// Somebody who calls as the server does: an instance, and its last batch.
pub struct Caller {
    instance: String,
    number: u64,
    /// What its reservations begin with, and how many it has made.
    prefix: String,
    count: u64,
}

impl Caller {
    /// A caller that no other is: of this run, and this number in it.
    pub fn new(run: u32, number: u32) -> Self {
        let instance = format!("{run:08x}-0000-7000-8000-0000{number:08x}");
        Self { instance, number: 0, prefix: format!("{run:08x}{number:08x}"), count: 0 }
    }
}

impl Overheard {
    /// Listens to one reservation in the sale `drop`.
    pub async fn listen(server: &Server, redis: &Redis) -> Self {
        let instances = server.operate(reqwest::Method::GET, "/v1/instances", &Value::Null).await;
        let instance = instances["instances"][0]["id"].as_str().expect("the server is an instance");
        let mut monitor = TcpStream::connect(redis.address()).expect("Redis takes connections");
        monitor.set_read_timeout(Some(PATIENCE)).expect("a socket takes its options");
        monitor.write_all(b"MONITOR\r\n").expect("Redis takes commands");
        let mut lines = BufReader::new(monitor).lines().map(|line| line.expect("the reservation is heard"));
        assert_eq!(lines.next().as_deref(), Some("+OK"), "Redis lets us listen");
        let body = json!({"lines": [{"sku": "kite", "quantity": 1}], "buyer": BUYER});
        let request = server.request(reqwest::Method::POST, "/v1/sales/drop/reservations").bearer_auth(ADMIN_KEY);
        server.answer(request.header("Idempotency-Key", "overheard").json(&body)).await;
        let hears = |words: &Vec<Vec<u8>>| words.iter().any(|word| String::from_utf8_lossy(word).contains(BUYER));
        let words = lines.map(|line| words(&line)).find(hears);
        Self::take_apart(&words.expect("the lines do not end"), instance)
    }

    fn take_apart(words: &[Vec<u8>], instance: &str) -> Self {
        let (list, call) = words.split_last().expect("a call has words");
        let list = unpack(list);
        let is_command = |word: &Word| *word == Word::Text(COMMAND.to_owned());
        let (head, command) = list.split_at(list.iter().rposition(is_command).expect("the command has its name"));
        let one = [Word::Text("1".to_owned()), Word::Number(1)];
        assert!(head.last().is_some_and(|count| one.contains(count)), "one command, of which the word before it tells");
        let place = |words: &[Word], name: &str| words.iter().position(|word| word.holds(name));
        Self {
            call: call.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
            head: head[..head.len() - 1].to_vec(),
            instance: place(head, instance).expect("the caller has its name"),
            command: command.to_vec(),
            buyer: place(command, BUYER).expect("the buyer has its name"),
        }
    }

    /// The next call of `caller`, with so many reservations.
    pub fn call(&self, caller: &mut Caller, reservations: usize) -> Cmd {
        caller.number += 1;
        let mut list = self.head.clone();
        list[self.instance] = Word::Text(caller.instance.clone());
        list[self.instance + 1] = Word::Text(caller.number.to_string());
        list.push(Word::Text(reservations.to_string()));
        for _ in 0..reservations {
            caller.count += 1;
            // As long as an id, and good for all three.
            let unique = format!("{}{:016x}", caller.prefix, caller.count);
            list.extend(self.command.iter().enumerate().map(|(place, word)| match word {
                Word::Text(_) if place == ID || place == PRINT => Word::Text(unique.clone()),
                Word::Text(text) if place == self.buyer => Word::Text(text.replace(BUYER, &unique)),
                word => word.clone(),
            }));
        }
        let mut call = redis::cmd(&self.call[0]);
        call.arg(&self.call[1..]).arg(pack(&list));
        call
    }
}

impl Word {
    fn holds(&self, name: &str) -> bool {
        matches!(self, Self::Text(text) if text.contains(name))
    }
}

fn pack(list: &[Word]) -> Vec<u8> {
    let mut packed = Vec::new();
    rmp::encode::write_array_len(&mut packed, list.len() as u32).expect("memory takes all");
    for word in list {
        match word {
            Word::Text(text) => rmp::encode::write_str(&mut packed, text).expect("memory takes all"),
            Word::Number(number) => _ = rmp::encode::write_uint(&mut packed, *number).expect("memory takes all"),
        }
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Vec<Word> {
    let count = rmp::decode::read_array_len(&mut packed).expect("a list");
    let word = |_| {
        let mut rest = packed;
        if let Ok(number) = rmp::decode::read_int(&mut rest) {
            packed = rest;
            return Word::Number(number);
        }
        let (text, rest) = rmp::decode::read_str_from_slice(packed).expect("a text");
        packed = rest;
        Word::Text(text.to_owned())
    };
    (0..count).map(word).collect()
}

/// The words of a line of MONITOR: each in quotes, with `\` before what is not plain.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut chars = line.chars();
    while chars.by_ref().any(|char| char == '"') {
        let mut word = Vec::new();
        while let Some(char) = chars.next().filter(|char| *char != '"') {
            match char {
                '\\' => word.push(escaped(&mut chars)),
                plain => word.extend(plain.to_string().as_bytes()),
            }
        }
        words.push(word);
    }
    words
}

/// The byte that stands behind a `\`.
fn escaped(chars: &mut std::str::Chars<'_>) -> u8 {
    match chars.next().expect("something is escaped") {
        'x' => {
            let hex: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&hex, 16).expect("two digits")
        }
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'a' => 7,
        'b' => 8,
        plain => plain as u8,
    }
}
