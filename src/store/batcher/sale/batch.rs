//! One batch of a sale, and the way back to each caller.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Waiting;
use crate::{
    sale::{Command, IfExpired, Outcome, Refusal, Reserve, Sale, Sku, view::Header},
    store::{
        StoreError,
        batcher::{Answer, BATCH_MAX, Reply, Waiter},
    },
    time::UnixMs,
};

/// The most lines that the reservations of one batch have: a line costs about a microsecond in the embedded store and
/// up to ten in a script, which blocks all of Redis meanwhile, so that a batch is a millisecond at most.
pub(super) const LINES_MAX: usize = 100;

/// How many of these are for who asks again: the rest is for those who need not wait for anything to expire.
pub(super) const LINES_AGAIN: usize = 75;

/// What listing all items of a sale counts as, in lines: there are up to a thousand.
const LINES_LIST: usize = 25;

/// How many events to be read count as one line.
const EVENTS_PER_LINE: usize = 10;

/// How a command is put to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Full,
    /// A reserve that most likely is too late: as a look-up, which grants nothing.
    Cheap,
}

/// A batch in the making.
pub(super) struct Batch {
    commands: Vec<Command>,
    callers: Vec<Caller>,
    lines: usize,
}

/// Who waits for a batch that is in flight.
pub struct Caller {
    /// Which of the batch's commands.
    command: usize,
    number: u64,
    since: Option<UnixMs>,
    reply: oneshot::Sender<Result<Answer<Sale>, StoreError>>,
    /// What to ask if the answer is `Pending`; none where that can't be.
    again: Option<Command>,
}

/// What a reply teaches, and whom it leaves waiting.
pub struct Lesson {
    pub(super) now: UnixMs,
    pub(super) header: Option<Arc<Header>>,
    /// SKUs of which somebody was told that none is available.
    pub(super) none_left: Vec<Sku>,
    /// Those who were told `Pending`.
    pub(super) again: Vec<Waiting>,
}

impl Batch {
    pub fn beginning_with(ticks: usize) -> Self {
        Self { commands: vec![Command::Tick; ticks], callers: Vec::new(), lines: 0 }
    }

    pub fn has_room_again(&self, command: &Command) -> bool {
        self.has_room(lines(command, Way::Full), LINES_AGAIN)
    }

    pub fn has_room_for(&self, command: &Command, way: Way) -> bool {
        self.has_room(lines(command, way), LINES_MAX)
    }

    /// What is larger than a batch may be gets one of its own.
    fn has_room(&self, lines: usize, most: usize) -> bool {
        self.commands.len() < BATCH_MAX && (self.callers.is_empty() || self.lines + lines <= most)
    }

    /// Adds a command behind the others; a tick is one with a tick before it.
    pub fn add(&mut self, waiting: Waiting, way: Way) {
        let Waiting { number, since, waiter: Waiter { command, reply } } = waiting;
        self.lines += lines(&command, way);
        let again = may_be_pending(&command).then(|| command.clone());
        match (self.commands.last(), command, way) {
            (Some(Command::Tick), Command::Tick, _) => {}
            (_, Command::Reserve(reserve), Way::Cheap) => self.commands.push(Command::Lookup(reserve)),
            (_, command, _) => self.commands.push(command),
        }
        self.callers.push(Caller { command: self.commands.len() - 1, number, since, reply, again });
    }

    /// The commands and their callers; none if there are no commands.
    pub fn into_parts(self) -> Option<(Vec<Command>, Vec<Caller>)> {
        (!self.commands.is_empty()).then_some((self.commands, self.callers))
    }
}

/// Gives everyone their part of the reply. That somebody has gone meanwhile is no error.
pub(super) fn answer(callers: Vec<Caller>, reply: Result<Reply<Sale>, StoreError>) -> Option<Lesson> {
    let mut reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            for caller in callers {
                let _ = caller.reply.send(Err(error.clone()));
            }
            return None;
        }
    };
    let mut lesson = Lesson { now: reply.now, header: reply.view.clone(), none_left: Vec::new(), again: Vec::new() };
    for caller in callers {
        // Only ticks have several callers, and all that is said to them is `Done`.
        let outcome = reply.outcomes.get_mut(caller.command).map(|own| std::mem::replace(own, Outcome::Done));
        lesson.note(outcome.as_ref());
        let answer = match outcome {
            None => Err(StoreError::misfit()),
            Some(Outcome::Failed) => Err(StoreError::failed()),
            Some(Outcome::Pending) => match caller.again {
                Some(command) => {
                    let waiter = Waiter { command, reply: caller.reply };
                    lesson.again.push(Waiting { number: caller.number, since: caller.since, waiter });
                    continue;
                }
                None => Err(StoreError::misfit()),
            },
            Some(outcome) => Ok(Answer { now: reply.now, view: reply.view.clone(), outcome }),
        };
        let _ = caller.reply.send(answer);
    }
    Some(lesson)
}

impl Lesson {
    fn note(&mut self, outcome: Option<&Outcome>) {
        if let Some(Outcome::Refused(Refusal::SoldOut { lines })) = outcome {
            self.none_left.extend(lines.iter().filter(|line| line.available == 0).map(|line| line.sku.clone()));
        }
    }
}

/// The SKUs that a command wants to take.
pub(super) fn skus(command: &Command) -> impl Iterator<Item = &Sku> {
    let lines = match command {
        Command::Reserve(reserve) => reserve.lines.as_slice(),
        _ => &[],
    };
    lines.iter().map(|line| &line.sku)
}

fn may_be_pending(command: &Command) -> bool {
    match command {
        Command::Reserve(_) => true,
        Command::Confirm(confirm) => confirm.if_expired == IfExpired::Retake,
        _ => false,
    }
}

/// What a command counts as.
fn lines(command: &Command, way: Way) -> usize {
    match (command, way) {
        (Command::Reserve(_), Way::Cheap) => 0,
        (Command::Reserve(Reserve { lines, .. }), Way::Full) => lines.len(),
        (Command::Events { limit, .. }, _) => limit / EVENTS_PER_LINE,
        (Command::Items | Command::Rules | Command::Configure { .. } | Command::Consider { .. }, _) => LINES_LIST,
        (Command::Walk, _) => LINES_MAX,
        (Command::Look { .. } | Command::Tick, _) => 0,
        // The lines of these are known to the store only; most reservations have one or two.
        _ => 1,
    }
}
