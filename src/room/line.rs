//! The state machine of a room: command in, outcome out.

use serde::{Deserialize, Serialize};

use super::{
    command::{Command, Outcome},
    view::View,
};
use crate::time::UnixMs;

/// A room's line. Serialisable whole: a snapshot of it is its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Room {}

/// What came of a command, and whether the room's state is another than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub outcome: Outcome,
    /// False only if the state is exactly what it was: a store need not write, and a replay may leave the command out.
    pub changed: bool,
}

impl Room {
    /// Applies one command to a room that may not exist yet, or no longer.
    pub fn apply(_room: &mut Option<Room>, _now: UnixMs, _command: &Command) -> Applied {
        todo!()
    }

    /// What the room shows of itself at `now`.
    pub fn view(&self, _now: UnixMs) -> View {
        todo!()
    }
}
