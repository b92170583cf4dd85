//! The sender of one aggregate's batches: numbers them, sends one again whose answer was lost, and tells again what it
//! remembers when the store has lost something.
//!
//! A batch is applied only by a store that stands in the term the sender last saw. Otherwise the store says so and applies
//! nothing, and the sender catches up first: it replays what it was told within the last minute, says that this was all,
//! and sends the batch once more.

use std::{
    marker::PhantomData,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{
    Shared,
    link::{CallError, Script},
    memory::{Memory, Row},
    scripted::{self, Answer, Op, Scripted, Status, keys, preamble},
    wire::{Args, Misread},
};
use crate::{store::StoreError, time::UnixMs};

/// How long a batch whose answer was lost is sent again: then it is for the caller to ask what became of it.
const RESEND_FOR: Duration = Duration::from_secs(2);

/// The pause before it is sent again.
const RESEND_PAUSE: Duration = Duration::from_millis(20);

/// Who has not spoken with the store for so long may not have noticed a loss.
const QUIET: Duration = Duration::from_millis(300);

/// How long a server that lags behind is looked past for a better one. One that is still the only one then is adopted.
const STALE_FOR: Duration = Duration::from_secs(5);

/// How often one batch catches up with the store before its caller is told to come again.
const ROUNDS: usize = 3;

/// The rows of one call of a replay: with four words each far below what a script takes, and about a millisecond of work.
const ROWS_AT_ONCE: usize = 250;

/// The sender of one aggregate's batches.
pub(super) struct Sender<A: Scripted> {
    script: &'static Script,
    keys: Vec<String>,
    // Held over a call: batches of one aggregate are numbered, so they go one after the other, as the lane sends them.
    seen: Mutex<Seen>,
    kind: PhantomData<fn() -> A>,
}

/// What the sender last saw of its aggregate.
struct Seen {
    number: u64,
    /// The highest term ever met; 0 if none. It never falls: a server of an older one lags behind.
    met: u64,
    /// The term it is in, and its name: batches are sent for that one. 0 and none before the first answer.
    term: u64,
    made: Option<String>,
    /// The latest time it was told.
    told: UnixMs,
    /// The aggregate's time, and when that was: it is reckoned on from there.
    now: UnixMs,
    at: Instant,
    /// When the store last answered.
    heard: Instant,
    memory: Memory,
    /// The row of the settings, as last passed on.
    settings: Option<String>,
    /// Since when the servers found lag behind.
    stale_since: Option<Instant>,
}

/// Whether a batch may have been applied though its sender never heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Certain,
    Unclear,
}

/// What to do about an answer.
enum Next<T> {
    Done(T),
    /// The sender has caught up: send again.
    Again,
}

impl<A: Scripted> Sender<A> {
    pub fn new(shared: &Shared, script: &'static Script, id: &str) -> Self {
        let seen = Seen {
            number: 0,
            met: 0,
            term: 0,
            made: None,
            told: UnixMs(0),
            now: UnixMs(0),
            at: Instant::now(),
            heard: Instant::now(),
            memory: Memory::new(shared.budget.clone()),
            settings: None,
            stale_since: None,
        };
        Self { script, keys: keys::<A>(id), seen: Mutex::new(seen), kind: PhantomData }
    }

    /// Sends commands in one batch. If the script fails, which is a bug, it has applied none of them: then they are sent one
    /// by one, so that only the guilty fail.
    ///
    /// # Errors
    /// As the store's.
    pub async fn send(&self, shared: &Shared, commands: &[A::Command]) -> Result<A::Reply, StoreError> {
        let whole = self.batch(shared, commands).await;
        if commands.len() < 2 || !matches!(whole, Err(StoreError::Failed(_))) {
            return whole;
        }
        let mut outcomes = Vec::new();
        let mut last = Err(StoreError::Overloaded);
        for command in commands {
            match self.batch(shared, std::slice::from_ref(command)).await {
                Ok(mut reply) => {
                    outcomes.append(A::outcomes(&mut reply));
                    last = Ok(reply);
                }
                Err(error @ StoreError::Failed(_)) => {
                    tracing::error!(key = self.keys[0], %error, "the script failed at a command");
                    outcomes.push(A::failed());
                    last = last.or(Err(error));
                }
                // Of those before it some may have been applied.
                Err(error) => return Err(StoreError::Unavailable(error.to_string())),
            }
        }
        let mut reply = last?;
        *A::outcomes(&mut reply) = outcomes;
        Ok(reply)
    }

    async fn batch(&self, shared: &Shared, commands: &[A::Command]) -> Result<A::Reply, StoreError> {
        if shared.budget.is_full() {
            return Err(StoreError::Overloaded);
        }
        let mut batch = Args::default();
        batch.word(commands.len());
        commands.iter().for_each(|command| A::encode(command, &mut batch));
        let mut seen = self.seen.lock().await;
        if let Some(row) = commands.iter().rev().find_map(A::settings_row) {
            seen.settings = Some(row);
        }
        seen.number = shared.next_number();
        let mut sending = Sending::Certain;
        match self.rounds(shared, &mut seen, &batch, &mut sending).await {
            // It may have been applied before the loss: whoever hears that nothing was would send it as another.
            Err(StoreError::Recovering) if sending == Sending::Unclear => {
                Err(StoreError::Unavailable("unclear: the store was lost over it".to_owned()))
            }
            done => done,
        }
    }

    /// Sends a batch, and catches up with the store as often as it may take.
    async fn rounds(
        &self,
        shared: &Shared,
        seen: &mut Seen,
        batch: &Args,
        sending: &mut Sending,
    ) -> Result<A::Reply, StoreError> {
        for _ in 0..ROUNDS {
            let text = self.resent(shared, seen, batch, sending).await?;
            let answer = Answer::read(&text).map_err(misread)?;
            match self.heed(shared, seen, &answer).await? {
                Next::Done(reply) => return Ok(reply),
                Next::Again => {}
            }
        }
        Err(StoreError::Recovering)
    }

    /// Whether it has spoken with the store, but not just now; so that `after_loss` it has to look, and otherwise only if
    /// it remembers something.
    pub fn is_to_watch(&self, after_loss: bool) -> bool {
        // One that is locked is being used.
        let is_quiet = |seen: &Seen| seen.term > 0 && seen.heard.elapsed() >= QUIET;
        self.seen.try_lock().is_ok_and(|seen| is_quiet(&seen) && (after_loss || !seen.memory.is_empty()))
    }

    /// Catches up with the store, if there is anything to catch up with.
    pub async fn touch(&self, shared: &Shared) -> Result<(), StoreError> {
        self.send(shared, &[]).await.map(drop)
    }

    /// Tells the store that the instance ends.
    pub async fn leave(&self, shared: &Shared) -> Result<(), StoreError> {
        let seen = self.seen.lock().await;
        if seen.term == 0 {
            return Ok(());
        }
        self.call(shared, &seen, Op::Leave, seen.made.as_deref(), &Args::default()).await.map(drop).map_err(unavailable)
    }

    /// Sends a batch until there is an answer. One that may have been applied keeps its number, so that it counts once.
    async fn resent(
        &self,
        shared: &Shared,
        seen: &Seen,
        batch: &Args,
        sending: &mut Sending,
    ) -> Result<String, StoreError> {
        let until = Instant::now() + RESEND_FOR;
        loop {
            match self.call(shared, seen, Op::Batch, seen.made.as_deref(), batch).await {
                Ok(text) => return Ok(text),
                Err(error @ (CallError::Unclear(_) | CallError::TooFewCopies { .. })) if Instant::now() < until => {
                    tracing::debug!(%error, "sending a batch again");
                    *sending = Sending::Unclear;
                    tokio::time::sleep(RESEND_PAUSE).await;
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    /// Calls the script for the term of that name.
    async fn call(
        &self,
        shared: &Shared,
        seen: &Seen,
        op: Op,
        made: Option<&str>,
        rest: &Args,
    ) -> Result<String, CallError> {
        let reckoned = if seen.term == 0 { UnixMs(0) } else { seen.reckoned() };
        let sender = scripted::Sender {
            instance: &shared.instance,
            number: seen.number,
            met: seen.met,
            made,
            reckoned,
            floor: seen.told,
            adopts: seen.stale_since.is_some_and(|since| since.elapsed() >= STALE_FOR),
        };
        let mut args = preamble(op, shared.given_time(), &sender);
        args.append(rest);
        let bytes = shared.link.call(self.script, &self.keys, vec![args.pack()]).await?;
        String::from_utf8(bytes).map_err(|_| CallError::Script("an answer that is no text".to_owned()))
    }

    /// Does what an answer asks for.
    async fn heed(&self, shared: &Shared, seen: &mut Seen, answer: &Answer<'_>) -> Result<Next<A::Reply>, StoreError> {
        if answer.status != Status::Stale {
            seen.stale_since = None;
        }
        match answer.status {
            Status::Ok => {
                seen.learn::<A>(answer);
                A::decode(answer).map(Next::Done).map_err(misread)
            }
            Status::Recovering | Status::Behind => {
                seen.met = seen.met.max(answer.term);
                if seen.is_of(answer) {
                    // What is remembered was told: the others are waited for.
                    return Err(StoreError::Recovering);
                }
                shared.noticed_loss();
                self.replay(shared, seen).await
            }
            Status::Gone if A::IS_REBUILT && seen.settings.is_some() => {
                shared.noticed_loss();
                self.replay(shared, seen).await
            }
            Status::Lost => {
                seen.memory.forgets(answer.term, answer.seq);
                Err(StoreError::NeedsOperator)
            }
            Status::Gone => Err(StoreError::NeedsOperator),
            Status::Stale => {
                seen.stale_since.get_or_insert_with(Instant::now);
                shared.link.distrust(&self.keys[0]);
                Err(StoreError::Unavailable("the server lags behind what was seen of another".to_owned()))
            }
            Status::Old => Err(StoreError::Unavailable("a later batch came before this one".to_owned())),
        }
    }

    /// Tells the store all that is remembered, and that this was all. It all goes into one recovery, which the first
    /// answer names: what went to a server that was lost meanwhile is told again to the next.
    async fn replay(&self, shared: &Shared, seen: &mut Seen) -> Result<Next<A::Reply>, StoreError> {
        let rows = seen.rows();
        tracing::info!(
            key = self.keys[0],
            rows = rows.len(),
            "the store lost something: telling it what is remembered"
        );
        let peers = shared.peers();
        let mut into: Option<String> = None;
        // At least one page, so that what is gone altogether is begun anew.
        for page in pages(&rows) {
            let mut args = Args::default();
            args.word(&peers).word(page.len());
            for (key, row) in page {
                args.word(key).word(row.term).word(row.seq).word(&row.value);
            }
            let text = self.call(shared, seen, Op::Replay, into.as_deref(), &args).await.map_err(unavailable)?;
            let answer = Answer::read(&text).map_err(misread)?;
            if answer.status != Status::Ok {
                return Err(StoreError::Recovering);
            }
            seen.met = seen.met.max(answer.term);
            into = answer.made.map(str::to_owned);
        }
        let (term, seq) = seen.memory.forgotten();
        let mut args = Args::default();
        args.word(term).word(seq);
        let text = self.call(shared, seen, Op::Done, into.as_deref(), &args).await.map_err(unavailable)?;
        let answer = Answer::read(&text).map_err(misread)?;
        match answer.status {
            Status::Ok => {
                seen.learn::<A>(&answer);
                seen.memory.renew(seen.heard);
                Ok(Next::Again)
            }
            // Taken, if it is the recovery that was told; the others are waited for.
            Status::Recovering if answer.made == into.as_deref() => {
                seen.see(&answer);
                seen.memory.renew(seen.heard);
                Err(StoreError::Recovering)
            }
            Status::Recovering | Status::Behind | Status::Stale | Status::Gone | Status::Old => {
                Err(StoreError::Recovering)
            }
            Status::Lost => {
                seen.memory.forgets(answer.term, answer.seq);
                Err(StoreError::NeedsOperator)
            }
        }
    }
}

impl Seen {
    /// Whether an answer is of the term and making that was seen.
    fn is_of(&self, answer: &Answer<'_>) -> bool {
        self.term == answer.term && self.made.as_deref() == answer.made
    }

    /// Takes in where the store stands. An answer from before a recovery, given again after it, says nothing of that.
    fn see(&mut self, answer: &Answer<'_>) {
        if answer.term < self.met {
            return;
        }
        (self.met, self.term) = (answer.term, answer.term);
        if self.made.as_deref() != answer.made {
            self.made = answer.made.map(str::to_owned);
        }
        // One that comes late says nothing of the present.
        if self.reckoned() < answer.now {
            (self.now, self.at) = (answer.now, Instant::now());
        }
        (self.told, self.heard) = (answer.now.max(self.told), Instant::now());
    }

    /// What the aggregate's time must be by now.
    fn reckoned(&self) -> UnixMs {
        self.now.plus_ms(u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn learn<A: Scripted>(&mut self, answer: &Answer<'_>) {
        let is_stored = answer.term < self.met;
        self.see(answer);
        for (key, value) in &answer.facts {
            let row = Row { term: answer.term, seq: answer.seq, value: (*value).into() };
            if is_stored {
                self.memory.learn_late(self.heard, key, row);
            } else {
                self.memory.learn(self.heard, key, row);
            }
        }
        self.memory.forget(self.heard, self.told, A::kept_until);
    }

    /// What is remembered, the settings first.
    fn rows(&self) -> Vec<(String, Row)> {
        let settings = self
            .settings
            .iter()
            .map(|value| ("g".to_owned(), Row { term: self.term, seq: 0, value: value.as_str().into() }));
        let others = self.memory.rows().filter(|(key, _)| self.settings.is_none() || *key != "g");
        settings.chain(others.map(|(key, row)| (key.to_owned(), row.clone()))).collect()
    }
}

/// The pages of a replay: one at least.
fn pages(rows: &[(String, Row)]) -> impl Iterator<Item = &[(String, Row)]> {
    let none = rows.is_empty().then_some(rows);
    rows.chunks(ROWS_AT_ONCE).chain(none)
}

fn misread(error: Misread) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn unavailable(error: CallError) -> StoreError {
    match error {
        // Keys that another version wrote: not a bug of this one.
        CallError::Script(said) if !said.starts_with("LAYOUT") => StoreError::Failed(said),
        error => StoreError::Unavailable(error.to_string()),
    }
}
