//! One script call as a server hears it, and what its answers mean.

use std::time::Duration;

use redis::{Pipeline, ServerError, Value};

use super::{CallError, Durability, Script};

/// A script call, to be sent once or, where a server refused it, again.
pub(super) struct Request<'a> {
    pub script: &'a Script,
    pub keys: &'a [String],
    pub args: &'a [Vec<u8>],
}

/// How one sending is told from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    /// The server lacks the script: it goes along.
    pub with_source: bool,
    /// The slot is on its way to this server.
    pub asking: bool,
    pub copies: Copies,
}

/// What the call waits for on the same connection, after the script.
#[derive(Clone, Copy, Debug)]
pub(super) enum Copies {
    None,
    /// The server's own disk, by `WAITAOF`.
    Disk(Duration),
    Replicas(u32, Duration),
}

impl Copies {
    /// What this durability asks of a server.
    pub fn of(durability: Durability, has_waitaof: bool, patience: Duration) -> Self {
        match durability {
            Durability::Replica { copies } => Self::Replicas(copies, patience),
            Durability::Local if has_waitaof => Self::Disk(patience),
            // An older server writes its file before it answers: `appendfsync always`.
            Durability::Local | Durability::None => Self::None,
        }
    }
}

/// Why one sending did not end the call.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Call(CallError),
    /// Certain: nothing ran, and it may run elsewhere or later.
    Refused(Refusal, String),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// What a server that ran nothing would have done instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoScript,
    /// The slot lives there, as the server writes it.
    Moved(String),
    /// The slot is on its way there.
    Ask(String),
    /// It takes no writes (any more).
    NotPrimary,
    /// Starting, or busy with a script.
    Unready,
    /// The slot is between two servers, or has none.
    NoSlot,
}

impl Request<'_> {
    pub fn commands(&self, sending: Sending) -> Pipeline {
        let mut commands = Pipeline::new();
        if sending.with_source {
            commands.cmd("SCRIPT").arg("LOAD").arg(self.script.source());
        }
        if sending.asking {
            commands.cmd("ASKING");
        }
        commands.cmd("EVALSHA").arg(self.script.sha1()).arg(self.keys.len());
        for key in self.keys {
            commands.arg(key);
        }
        for arg in self.args {
            commands.arg(arg.as_slice());
        }
        match sending.copies {
            Copies::None => {}
            Copies::Disk(patience) => {
                commands.cmd("WAITAOF").arg(1).arg(0).arg(millis(patience));
            }
            Copies::Replicas(copies, patience) => {
                commands.cmd("WAIT").arg(copies).arg(millis(patience));
            }
        }
        commands
    }
}

fn millis(time: Duration) -> u64 {
    // Never 0: that would be for ever.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// What the answers to one sending mean.
pub(super) fn read(mut answers: Vec<Value>, sending: Sending) -> Result<Vec<u8>, Failure> {
    if let (true, Some(Value::ServerError(error))) = (sending.with_source, answers.first()) {
        return Err(refused(error));
    }
    let copies = match sending.copies {
        Copies::None => None,
        Copies::Disk(_) | Copies::Replicas(..) => answers.pop(),
    };
    let reply = match answers.pop() {
        Some(Value::BulkString(reply)) => reply,
        Some(Value::ServerError(error)) => return Err(refused(&error)),
        // It ran, and said something that no script of ours says.
        _ => return Err(CallError::Unclear("the script's answer is no text".to_owned()).into()),
    };
    let (wanted, found) = match (sending.copies, copies) {
        (Copies::None, _) => return Ok(reply),
        (Copies::Disk(_), Some(Value::Array(counts))) => (1, count(counts.first())),
        (Copies::Replicas(wanted, _), answer @ Some(Value::Int(_))) => (wanted, count(answer.as_ref())),
        (_, answer) => {
            let detail = format!("applied, and it can't be told how many copies have it: {answer:?}");
            return Err(CallError::Unclear(detail).into());
        }
    };
    match found >= wanted {
        true => Ok(reply),
        false => Err(CallError::TooFewCopies { wanted, found }.into()),
    }
}

fn count(value: Option<&Value>) -> u32 {
    match value {
        Some(Value::Int(count)) => u32::try_from(*count).unwrap_or_default(),
        _ => 0,
    }
}

/// What a server's refusal means. Every one of them is certain: a script's own write is refused at its first, before there is
/// anything to undo.
fn refused(error: &ServerError) -> Failure {
    let detail = error.details().unwrap_or_default();
    let said = format!("{} {detail}", error.code());
    // `3999 127.0.0.1:6381`
    let there = || detail.split(' ').nth(1).unwrap_or_default().to_owned();
    match error.code() {
        "NOSCRIPT" => Failure::Refused(Refusal::NoScript, said),
        "MOVED" => Failure::Refused(Refusal::Moved(there()), said),
        "ASK" => Failure::Refused(Refusal::Ask(there()), said),
        "READONLY" => Failure::Refused(Refusal::NotPrimary, said),
        "LOADING" | "MASTERDOWN" | "BUSY" => Failure::Refused(Refusal::Unready, said),
        "TRYAGAIN" | "CLUSTERDOWN" => Failure::Refused(Refusal::NoSlot, said),
        // A server that takes no writes for want of memory, disk or replicas, or none of ours.
        "OOM" | "MISCONF" | "NOREPLICAS" | "NOPERM" | "NOAUTH" => CallError::NotSent(said).into(),
        _ => CallError::Script(said).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(10);

    fn sending(copies: Copies) -> Sending {
        Sending { with_source: false, asking: false, copies }
    }

    fn answers(copies: Value) -> Vec<Value> {
        vec![Value::BulkString(b"done".to_vec()), copies]
    }

    #[test]
    fn the_disk_is_counted() {
        let disk = Copies::of(Durability::Local, true, PATIENCE);
        let counted = |n| read(answers(Value::Array(vec![Value::Int(n), Value::Int(0)])), sending(disk));
        assert_eq!(counted(1).unwrap(), b"done");
        assert!(matches!(counted(0).unwrap_err(), Failure::Call(CallError::TooFewCopies { wanted: 1, found: 0 })));
        assert!(matches!(read(answers(Value::Nil), sending(disk)), Err(Failure::Call(CallError::Unclear(_)))));
    }

    #[test]
    fn an_older_server_is_not_asked_to_wait_for_its_disk() {
        let request = Request { script: &Script::new(&["return ''"]), keys: &[], args: &[] };
        let names = |durability, has_waitaof| {
            let commands = request.commands(sending(Copies::of(durability, has_waitaof, PATIENCE)));
            let packed = commands.get_packed_pipeline();
            String::from_utf8_lossy(&packed).contains("WAITAOF")
        };
        assert!(names(Durability::Local, true));
        assert!(!names(Durability::Local, false) && !names(Durability::None, true));
    }
}
