//! A room's batches: commands in order, and joins that stand next to each other merged into one.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{Aggregate, Answer, BATCH_MAX, Queue, Reply, Waiter};
use crate::{
    id::RoomId,
    room::{Command, Outcome, Room, View},
    store::{Store, StoreError},
};

impl Aggregate for Room {
    type Id = RoomId;
    type Command = Command;
    type Outcome = Outcome;
    type View = View;
    type Queue = RoomQueue;

    async fn call<S: Store>(store: &S, id: RoomId, commands: Vec<Command>) -> Result<Reply<Self>, StoreError> {
        let reply = store.room(id, commands).await?;
        Ok(Reply { now: reply.now, view: reply.view, outcomes: reply.outcomes })
    }

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Join { .. } | Command::Claim { .. } | Command::Admit { .. } | Command::Look { .. })
    }

    fn is_older(new: &View, old: &View) -> bool {
        let age = |view: &View| (view.term, view.epoch, view.now);
        age(new) < age(old)
    }
}

/// Those who wait for a room, first come first served.
#[derive(Default)]
pub struct RoomQueue(VecDeque<Waiter<Room>>);

/// Who waits for a batch, and for which part of which outcome.
pub struct Caller {
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

impl Queue<Room> for RoomQueue {
    type Callers = Vec<Caller>;
    type Left = ();

    fn push(&mut self, waiter: Waiter<Room>) {
        self.0.push_back(waiter);
    }

    fn waiting(&self) -> usize {
        self.0.len()
    }

    fn ahead(&self) -> usize {
        self.0.len()
    }

    fn next_batch(&mut self) -> Option<(Vec<Command>, Vec<Caller>)> {
        let (mut commands, mut callers) = (Vec::new(), Vec::new());
        while let Some(waiter) = self.0.pop_front_if(|next| next.has_gone() || has_room_for(&commands, &next.command)) {
            if !waiter.has_gone() {
                callers.push(add(&mut commands, waiter));
            }
        }
        (!callers.is_empty()).then_some((commands, callers))
    }

    fn count(callers: &Vec<Caller>) -> usize {
        callers.len()
    }

    /// That somebody has gone meanwhile is no error.
    fn answer(callers: Vec<Caller>, reply: Result<Reply<Room>, StoreError>) {
        for caller in callers {
            let answer = reply.as_ref().map_err(StoreError::clone).and_then(|reply| {
                let outcome = reply.outcomes.get(caller.command).and_then(|whole| caller.share.of(whole));
                let outcome = match outcome.ok_or_else(StoreError::misfit)? {
                    Outcome::Failed => return Err(StoreError::failed()),
                    outcome => outcome,
                };
                Ok(Answer { now: reply.now, view: reply.view.clone(), outcome })
            });
            let _ = caller.reply.send(answer);
        }
    }

    fn settle(&mut self, (): ()) -> usize {
        0
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn has_room_for(commands: &[Command], next: &Command) -> bool {
    commands.len() < BATCH_MAX || merged(commands.last(), next).is_some()
}

/// Adds a command: to the join before it, if both are joins, or behind the others.
fn add(commands: &mut Vec<Command>, waiter: Waiter<Room>) -> Caller {
    let share = match (commands.last_mut(), &waiter.command) {
        (Some(last), command) if let Some((sum, share)) = merged(Some(last), command) => {
            *last = sum;
            share
        }
        (_, command) => {
            let share = match command {
                Command::Join { count } => Share::Positions { skip: 0, count: *count },
                _ => Share::Whole,
            };
            commands.push(waiter.command);
            share
        }
    };
    Caller { reply: waiter.reply, command: commands.len() - 1, share }
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
