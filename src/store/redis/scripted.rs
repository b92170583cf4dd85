//! What rooms and sales have in common as scripts: how their keys are called, how a call begins, how an answer reads.

use std::fmt;

use super::wire::{Args, Misread, Words};
use crate::time::UnixMs;

/// An aggregate that lives in a script.
pub(super) trait Scripted {
    type Command;
    type Outcome;
    /// What the store answers to a batch.
    type Reply;
    /// The letter its keys begin with.
    const LETTER: char;
    /// What its own keys end with, after those that all have.
    const KEYS: &'static [&'static str];

    /// The parts of the script that are its own, in order.
    fn parts() -> Vec<&'static str>;

    /// Whether an aggregate of which the store has lost all is made again from what its senders remember.
    const IS_REBUILT: bool;

    /// The arguments of a command.
    fn encode(command: &Self::Command, args: &mut Args);

    /// Reads the lines of an answer: the aggregate's head, then one line a command.
    fn decode(answer: &Answer<'_>) -> Result<Self::Reply, Misread>;

    /// The outcomes in a reply.
    fn outcomes(reply: &mut Self::Reply) -> &mut Vec<Self::Outcome>;

    /// What stands in the place of the outcome of a command at which the script failed.
    fn failed() -> Self::Outcome;

    /// The row of the settings that a command gives, if it gives any: who rebuilds the aggregate begins with it.
    fn settings_row(_command: &Self::Command) -> Option<String> {
        None
    }

    /// Until when a row is to be remembered, where that is longer than any other.
    fn kept_until(_key: &str, _value: &str) -> Option<UnixMs> {
        None
    }
}

/// A script, in fragments: the parts that all have, around the aggregate's own. Why all but the first are wrapped in a
/// function, the first says.
pub(super) fn source<A: Scripted>() -> Vec<&'static str> {
    let before = [include_str!("lua/prelude.lua"), "return (function()\n"];
    let after = [include_str!("lua/gate.lua"), include_str!("lua/run.lua"), "end)()\n"];
    before.into_iter().chain(A::parts()).chain(after).collect()
}

/// The keys that every aggregate has: header and state, the answers to the last batches, who was seen, what was replayed.
const COMMON_KEYS: [&str; 4] = ["main", "sent", "seen", "staged"];

/// The keys of the aggregate `id`: all in one slot.
pub(super) fn keys<A: Scripted>(id: impl fmt::Display) -> Vec<String> {
    let key = |end: &&str| format!("{{{}:{id}}}:{end}", A::LETTER);
    COMMON_KEYS.iter().chain(A::KEYS).map(key).collect()
}

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Commands.
    Batch,
    /// Rows that were acknowledged before a loss.
    Replay,
    /// There are no more rows from this sender.
    Done,
    /// The instance ends.
    Leave,
}

/// What a sender says of itself with every call.
#[derive(Clone, Debug)]
pub(super) struct Sender<'a> {
    pub instance: &'a str,
    /// The batch's number; rises with every batch of this sender to this aggregate.
    pub number: u64,
    /// The highest term it ever met; 0 if none.
    pub met: u64,
    /// The name of the term it is in; in a replay, of the one that it began to replay into.
    pub made: Option<&'a str>,
    /// What it reckons the aggregate's time to be; 0 if it does not know.
    pub reckoned: UnixMs,
    /// The latest time it was told.
    pub floor: UnixMs,
    /// It has found no server but this one, though it lags behind.
    pub adopts: bool,
}

/// The first arguments of a call. `clock` is the time where a test gives one.
pub(super) fn preamble(op: Op, clock: Option<UnixMs>, sender: &Sender<'_>) -> Args {
    let mut args = Args::default();
    let op = match op {
        Op::Batch => "batch",
        Op::Replay => "replay",
        Op::Done => "done",
        Op::Leave => "leave",
    };
    args.word(op)
        .word(clock.map_or_else(String::new, |now| now.0.to_string()))
        .word(sender.instance)
        .word(sender.number)
        .word(sender.met)
        .word(sender.made.unwrap_or("-"))
        .word(sender.reckoned.0)
        .word(sender.floor.0)
        .word(if sender.adopts { "adopt" } else { "" });
    args
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    /// The store lost something, and waits for all who may remember it. Nothing was applied.
    Recovering,
    /// A recovery has gone by without this sender: it is to replay first. Nothing was applied.
    Behind,
    /// The server lags behind what the sender saw. Nothing was applied.
    Stale,
    /// The aggregate is not there, though the sender saw it.
    Gone,
    /// It waits for its operator.
    Lost,
    /// A batch from before the sender's last.
    Old,
}

/// An answer, its lines told apart.
#[derive(Clone, Debug)]
pub(super) struct Answer<'a> {
    pub status: Status,
    pub term: u64,
    /// The term's name: two servers may each begin a term of the same number.
    pub made: Option<&'a str>,
    /// How many batches have changed the aggregate.
    pub seq: u64,
    pub now: UnixMs,
    /// The aggregate after the batch; `-` if it does not exist.
    pub head: &'a str,
    /// One line a command.
    pub outcomes: Vec<&'a str>,
    /// The rows that changed: key and value.
    pub facts: Vec<(&'a str, &'a str)>,
}

impl<'a> Answer<'a> {
    /// Reads an answer.
    pub fn read(text: &'a str) -> Result<Self, Misread> {
        let mut lines = text.split('\n');
        let mut first = Words::of(lines.next().unwrap_or_default());
        let status = match first.word()? {
            "ok" => Status::Ok,
            "recovering" => Status::Recovering,
            "behind" => Status::Behind,
            "stale" => Status::Stale,
            "gone" => Status::Gone,
            "lost" => Status::Lost,
            "old" => Status::Old,
            _ => return Err(first.misread()),
        };
        let term = first.parse()?;
        let made = Some(first.word()?).filter(|made| *made != "-");
        let (seq, now) = (first.parse()?, UnixMs(first.parse()?));
        let count: usize = if first.is_empty() { 0 } else { first.parse()? };
        let head = lines.next().unwrap_or("-");
        let outcomes: Vec<_> = lines.by_ref().take(count).collect();
        if outcomes.len() != count {
            return Err(Misread(format!("{} outcomes of {count}", outcomes.len())));
        }
        let facts = lines.map(|line| line.split_once(' ').ok_or_else(|| Misread(line.to_owned())));
        Ok(Self { status, term, made, seq, now, head, outcomes, facts: facts.collect::<Result<_, _>>()? })
    }
}
