//! A sale's commands as arguments.

use std::fmt::Write as _;

use crate::{
    sale::{
        Caller, Command, Confirm, IfExpired, Line, Refusal, ReservationId, Reserve, Rules, Units, check_lines,
        command::Fingerprint, reserve::sum,
    },
    store::redis::wire::Args,
    time::UnixMs,
};

/// The highest number a script computes with: whatever is above it is as good as it.
const NUMBER_MAX: u64 = 1 << 53;

/// Writes a command.
pub fn command(command: &Command, args: &mut Args) {
    match command {
        Command::Configure { version, born, rules, make } => {
            let make = if *make { "make" } else { "-" };
            args.text("configure").word(make).word(version).word(born).word(rules_text(rules));
        }
        Command::Consider { rules } => _ = args.text("consider").word(rules_text(rules)),
        Command::Delete { born } => _ = args.text("delete").word(born),
        Command::Tick => _ = args.text("tick"),
        Command::Restock { id, sku, delta } => {
            let most = 1_i64 << 53;
            args.text("restock").text(&hex(*id)).word(sku).word((*delta).clamp(-most, most));
        }
        Command::Reserve(ask) => reserve(ask, args.text("reserve")),
        Command::Lookup(ask) => reserve(ask, args.text("lookup")),
        Command::Look { id } => _ = args.text("look").text(&hex(*id)),
        Command::Paying { id } => _ = args.text("paying").text(&hex(*id)),
        Command::Confirm(ask) => confirm(ask, args.text("confirm")),
        Command::Release { id } => _ = args.text("release").text(&hex(*id)),
        Command::Extend { id, seconds, key } => {
            args.text("extend").text(&hex(*id)).word(seconds.min(&NUMBER_MAX)).maybe(key.map(print));
        }
        Command::Rules => _ = args.text("rules"),
        Command::Items => _ = args.text("items"),
        Command::Walk => _ = args.text("walk"),
        Command::Events { after, term, limit } => {
            let limit = u64::try_from(*limit).unwrap_or(NUMBER_MAX).min(NUMBER_MAX);
            args.text("events").word(after.min(&NUMBER_MAX)).word(term.min(&NUMBER_MAX)).word(limit);
        }
    }
}

/// The row of what a command configures.
pub fn settings_row(command: &Command) -> Option<String> {
    match command {
        Command::Configure { version, born, rules, make: _ } => Some(format!("{version} {born} {}", rules_text(rules))),
        _ => None,
    }
}

fn reserve(ask: &Reserve, args: &mut Args) {
    let (caller, room, deadline) = match &ask.caller {
        Caller::Shop => ("shop", "-", UnixMs(0)),
        Caller::Pass { room, deadline } => ("pass", room.as_str(), *deadline),
        Caller::Anyone => ("anyone", "-", UnixMs(0)),
    };
    args.text(&hex(ask.id)).text(&print(ask.fingerprint)).text(caller).text(room).number(deadline.0);
    args.maybe(ask.buyer.as_ref()).maybe(ask.hold_seconds.map(|seconds| seconds.min(NUMBER_MAX)));
    args.maybe(ask.replaces.map(hex));
    lines(&ask.lines, args);
}

fn confirm(ask: &Confirm, args: &mut Args) {
    let if_expired = match ask.if_expired {
        IfExpired::Reject => "reject",
        IfExpired::Retake => "retake",
    };
    args.text(&hex(ask.id)).word(&ask.order).word(if_expired);
    match &ask.lines {
        None => _ = args.text("whole"),
        Some(part) => lines(part, args.text("part")),
    }
}

/// Lines, summed; or why they can't be any, which the script is to say when it comes to them.
fn lines(lines: &[Line], args: &mut Args) {
    match check_lines(lines) {
        Ok(()) => {
            let units: Units = sum(lines);
            args.number(units.len() as u64);
            units.iter().for_each(|(sku, quantity)| _ = args.word(sku).number(*quantity));
        }
        Err(Refusal::Invalid { field, detail }) => _ = args.text("bad").word(format!("{field} {detail}")),
        Err(_) => _ = args.text("bad").word("lines can't be taken"),
    }
}

/// Rules in words, those that are not the items' first: what the store keeps of them is read back by
/// [`super::decode::rules`].
pub fn rules_text(rules: &Rules) -> String {
    let none_or = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let time = |at: Option<UnixMs>| none_or(at.map(|at| at.0));
    let mut text = format!(
        "{} {} {} {} {} {} {}",
        time(rules.opens_at),
        time(rules.closes_at),
        rules.hold_ms,
        rules.hold_max_ms,
        rules.payment_grace_ms,
        none_or(rules.max_units_per_buyer),
        rules.requires_pass.len(),
    );
    for room in &rules.requires_pass {
        let _ = write!(text, " {room}");
    }
    let _ = write!(text, " {}", rules.items.len());
    for (sku, item) in &rules.items {
        let _ = write!(text, " {sku} {} {}", item.total, none_or(item.per_buyer));
    }
    text
}

/// An id as the store has it: as long as any, so that their order is that of the numbers.
pub fn hex(id: ReservationId) -> String {
    format!("{:032x}", id.0)
}

fn print(print: Fingerprint) -> String {
    format!("{:x}", print.0)
}
