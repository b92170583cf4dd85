//! What goes to the store in one call, and the way back to each caller.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{Answer, BATCH_MAX, Pending};
use crate::{
    room::{Command, Outcome},
    store::{RoomReply, StoreError},
};

/// Commands on their way to the store, with those who wait for them.
#[derive(Default)]
pub(super) struct Batch {
    commands: Vec<Command>,
    callers: Vec<Caller>,
}

/// Those who wait for a batch that is in flight.
pub(super) struct Callers(Vec<Caller>);

/// Who waits, and for which part of which outcome.
struct Caller {
    reply: oneshot::Sender<Result<Answer, StoreError>>,
    /// Which of the batch's commands.
    command: usize,
    share: Share,
}

/// What of a command's outcome is the caller's.
enum Share {
    Whole,
    /// Of the positions a merged join issues: `count` of them, after the first `skip`.
    Positions {
        skip: u32,
        count: u32,
    },
}

impl Batch {
    /// Takes from the queue what fits into one batch, in order. Whoever has gone meanwhile is left out.
    pub(super) fn take(waiting: &mut VecDeque<Pending>) -> Self {
        let mut batch = Self::default();
        while let Some(pending) =
            waiting.pop_front_if(|next| next.reply.is_closed() || batch.has_room_for(&next.command))
        {
            if !pending.reply.is_closed() {
                batch.add(pending);
            }
        }
        batch
    }

    fn has_room_for(&self, command: &Command) -> bool {
        self.commands.len() < BATCH_MAX || merged(self.commands.last(), command).is_some()
    }

    /// Adds a command: to the join before it, if both are joins, or behind the others.
    fn add(&mut self, pending: Pending) {
        let share = match (self.commands.last_mut(), &pending.command) {
            (Some(last), command) if let Some((sum, share)) = merged(Some(last), command) => {
                *last = sum;
                share
            }
            (_, command) => {
                let share = match command {
                    Command::Join { count } => Share::Positions { skip: 0, count: *count },
                    _ => Share::Whole,
                };
                self.commands.push(pending.command);
                share
            }
        };
        self.callers.push(Caller { reply: pending.reply, command: self.commands.len() - 1, share });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    pub(super) fn into_parts(self) -> (Vec<Command>, Callers) {
        (self.commands, Callers(self.callers))
    }
}

/// Joins that follow each other are one join, so that a thousand visitors cost the store what one costs; with
/// the later one's share of it. None for other commands, and where the sum would wrap.
fn merged(last: Option<&Command>, next: &Command) -> Option<(Command, Share)> {
    match (last, next) {
        (Some(Command::Join { count: skip }), Command::Join { count }) => {
            let sum = skip.checked_add(*count)?;
            Some((Command::Join { count: sum }, Share::Positions { skip: *skip, count: *count }))
        }
        _ => None,
    }
}

impl Callers {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Gives everyone their part. That somebody has gone meanwhile is no error.
    pub(super) fn answer(self, reply: Result<RoomReply, StoreError>) {
        for caller in self.0 {
            let answer = reply.as_ref().map_err(StoreError::clone).and_then(|reply| {
                let outcome = reply.outcomes.get(caller.command).and_then(|whole| caller.share.of(whole));
                let outcome = outcome.ok_or_else(|| StoreError::Unavailable("the answer does not fit".to_owned()))?;
                Ok(Answer { now: reply.now, view: reply.view.clone(), outcome })
            });
            let _ = caller.reply.send(answer);
        }
    }
}

impl Share {
    /// The caller's part of an outcome; none if the outcome has no such part, which only a broken store gives.
    fn of(&self, whole: &Outcome) -> Option<Outcome> {
        match (self, whole) {
            (Self::Positions { skip, count }, Outcome::Joined { epoch, first, count: issued }) => {
                let fits = skip.checked_add(*count).is_some_and(|end| end <= *issued);
                fits.then(|| Outcome::Joined { epoch: *epoch, first: first + u64::from(*skip), count: *count })
            }
            // A refusal is everyone's; so is any outcome of a command that was not merged.
            _ => Some(whole.clone()),
        }
    }
}
