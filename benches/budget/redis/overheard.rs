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

/// One call with one reservation, taken apart.
#[derive(Clone, Serialize, Deserialize)]
pub struct Overheard {
    /// Up to the number of commands.
    head: Vec<String>,
    /// Where the instance is named in it; its batch's number is the next word.
    instance: usize,
    /// The reservation.
    command: Vec<String>,
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
        let words = lines.map(|line| words(&line)).find(|words| words.iter().any(|word| word.contains(BUYER)));
        Self::take_apart(&words.expect("the lines do not end"), instance)
    }

    fn take_apart(words: &[String], instance: &str) -> Self {
        let command = words.iter().rposition(|word| word == COMMAND).expect("the command has its name");
        let (head, command) = words.split_at(command);
        assert_eq!(head.last().map(String::as_str), Some("1"), "one command, of which the word before it tells");
        let place = |words: &[String], name: &str| words.iter().position(|word| word.contains(name));
        Self {
            head: head[..head.len() - 1].to_vec(),
            instance: place(head, instance).expect("the caller has its name"),
            command: command.to_vec(),
            buyer: place(command, BUYER).expect("the buyer has its name"),
        }
    }

    /// The next call of `caller`, with so many reservations.
    pub fn call(&self, caller: &mut Caller, reservations: usize) -> Cmd {
        caller.number += 1;
        let mut call = redis::cmd(&self.head[0]);
        for (place, word) in self.head.iter().enumerate().skip(1) {
            match place {
                _ if place == self.instance => call.arg(&caller.instance),
                _ if place == self.instance + 1 => call.arg(caller.number),
                _ => call.arg(word),
            };
        }
        call.arg(reservations);
        for _ in 0..reservations {
            caller.count += 1;
            // As long as an id, and good for all three.
            let unique = format!("{}{:016x}", caller.prefix, caller.count);
            for (place, word) in self.command.iter().enumerate() {
                match place {
                    ID | PRINT => call.arg(&unique),
                    _ if place == self.buyer => call.arg(word.replace(BUYER, &unique)),
                    _ => call.arg(word),
                };
            }
        }
        call
    }
}

/// The words of a line of MONITOR: each in quotes, with `\` before what is not plain.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.chars();
    while chars.by_ref().any(|char| char == '"') {
        let mut word = String::new();
        while let Some(char) = chars.next().filter(|char| *char != '"') {
            match char {
                '\\' => word.extend(chars.next()),
                plain => word.push(plain),
            }
        }
        words.push(word);
    }
    words
}
