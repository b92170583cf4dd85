//! The ticket: the proof of a visitor's place, for our own eyes.

use serde::{Deserialize, Serialize};

use super::{KeyRing, Purpose, TokenError};
use crate::{
    id::RoomId,
    room::{Epoch, Position},
    time::UnixMs,
};

/// The proof of a visitor's place in a room's line (HS256, for our own eyes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub room: RoomId,
    pub kind: TicketKind,
    pub number: Position,
    pub epoch: Epoch,
    /// When it was issued; the token carries whole seconds.
    pub issued: UnixMs,
}

/// What a ticket's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketKind {
    Position,
    /// A draw number, before positions are drawn.
    Draw,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    room: RoomId,
    num: Position,
    kind: TicketKind,
    epoch: Epoch,
    iat: u64,
    /// A number is issued once an epoch: so room, epoch, kind and number name the ticket, without a random draw
    /// in the path of every join.
    jti: String,
}

impl KeyRing {
    /// Signs a ticket with the key in force at `now`.
    pub fn sign_ticket(&self, ticket: &Ticket, now: UnixMs) -> String {
        let initial = match ticket.kind {
            TicketKind::Position => 'p',
            TicketKind::Draw => 'd',
        };
        let claims = Claims {
            room: ticket.room.clone(),
            num: ticket.number,
            kind: ticket.kind,
            epoch: ticket.epoch,
            iat: ticket.issued.unix_seconds(),
            jti: format!("{}-{}-{initial}{}", ticket.room, ticket.epoch, ticket.number),
        };
        self.sign(Purpose::Ticket, now, &claims)
    }

    /// The ticket in `token`. Whether its place still stands is the room's to say.
    ///
    /// # Errors
    /// Anything but a ticket of ours for `room`.
    pub fn verify_ticket(&self, room: &RoomId, token: &str) -> Result<Ticket, TokenError> {
        let claims: Claims = self.verify(Purpose::Ticket, token)?;
        if claims.room != *room {
            return Err(TokenError::OtherRoom);
        }
        Ok(Ticket {
            room: claims.room,
            kind: claims.kind,
            number: claims.num,
            epoch: claims.epoch,
            issued: UnixMs(claims.iat.saturating_mul(1000)),
        })
    }
}
