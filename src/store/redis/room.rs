//! A room as a script: its commands as arguments, its answers as lines.

use std::sync::{Arc, LazyLock};

use super::{
    memory::ALWAYS,
    scripted::{Answer, Scripted},
    wire::{Args, Misread, Words, maybe},
};
use crate::{
    id::SaleId,
    room::{
        Command, Figures, Grant, Holder, Mode, Outcome, Place, Refusal, Room, Rules, SalePhase, Session, SessionRef,
        Standing, Stock, StockGate, StockNews, Tag, View, Void, Voids, bounds,
        pace::{self, Bucket, Observed},
    },
    store::RoomReply,
    time::UnixMs,
};

impl Scripted for Room {
    type Command = Command;
    type Outcome = Outcome;
    type Reply = RoomReply;
    const LETTER: char = 'r';
    const KEYS: &'static [&'static str] =
        &["claimed", "left", "sessions", "due", "undecided", "calls", "calls_due", "resolved"];
    const IS_REBUILT: bool = true;

    fn parts() -> Vec<&'static str> {
        static BOUNDS: LazyLock<String> = LazyLock::new(bounds_part);
        vec![
            BOUNDS.as_str(),
            include_str!("lua/room/state.lua"),
            include_str!("lua/room/calls.lua"),
            include_str!("lua/room/line.lua"),
            include_str!("lua/room/commands.lua"),
            include_str!("lua/room/seldom.lua"),
            include_str!("lua/room/recovery.lua"),
        ]
    }

    fn outcomes(reply: &mut RoomReply) -> &mut Vec<Outcome> {
        &mut reply.outcomes
    }

    fn failed() -> Outcome {
        Outcome::Failed
    }

    fn encode(command: &Command, args: &mut Args) {
        match command {
            Command::Configure { version, first_epoch, rules } => settings(*version, *first_epoch, rules)
                .iter()
                .fold(args.text("configure"), |args, word| args.text(word)),
            Command::Delete { last_epoch } => args.text("delete").word(last_epoch),
            Command::Reset => args.text("reset"),
            Command::Tick => args.text("tick"),
            Command::Join { count } => args.text("join").number(u64::from(*count)),
            Command::Claim { place, tag } => encode_place(args.text("claim"), *place).text(&hex(*tag)),
            Command::Admit { tag } => args.text("admit").text(&hex(*tag)),
            Command::Look { place } => encode_place(args.text("look"), *place),
            Command::Exchange { session, issued } => encode_name(args.text("exchange"), *session).word(issued.0),
            Command::Check { session, holder } => {
                let exchanged = match holder {
                    Holder::Browser { exchanged } => Some(exchanged.0),
                    Holder::App => None,
                };
                encode_name(args.text("check"), *session).maybe(exchanged)
            }
            Command::Renew { session } => encode_name(args.text("renew"), *session),
            Command::Finish { session } => encode_name(args.text("finish"), *session),
            Command::Leave { place } => encode_place(args.text("leave"), *place),
            Command::SetStock(news) => encode_news(args.text("set_stock"), news),
            Command::ForgetStock => args.text("forget_stock"),
        };
    }

    fn settings_row(command: &Command) -> Option<String> {
        let Command::Configure { version, first_epoch, rules } = command else { return None };
        Some(settings(*version, *first_epoch, rules).join(" "))
    }

    /// The line's ends are never forgotten. That a position is claimed is remembered as long as it could be claimed again.
    fn kept_until(key: &str, value: &str) -> Option<UnixMs> {
        match key.as_bytes().first()? {
            b's' | b'v' => Some(ALWAYS),
            b'p' => {
                let words: Vec<&str> = value.split(' ').collect();
                match words[..] {
                    [_, "over", claimable] => claimable.parse().ok().map(UnixMs),
                    [_, _, _, deadline, _, _, claimable] => {
                        Some(UnixMs(deadline.parse::<u64>().ok()?.max(claimable.parse().ok()?)))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn decode(answer: &Answer<'_>) -> Result<RoomReply, Misread> {
        let outcomes = answer.outcomes.iter().map(|line| outcome(line)).collect::<Result<_, _>>()?;
        let view = match answer.head {
            "-" => None,
            head => Some(Arc::new(view(head, answer)?)),
        };
        Ok(RoomReply { now: answer.now, view, outcomes })
    }
}

/// The bounds, as the script knows them: from one place, so that both machines keep to the same.
fn bounds_part() -> String {
    let bounds = [
        ("PERMIT", bounds::PERMIT),
        ("TIME_MAX_MS", bounds::TIME_MAX_MS),
        ("POSITION_MAX", bounds::POSITION_MAX),
        ("TAIL_RAISE_MAX", bounds::TAIL_RAISE_MAX),
        ("CEILING_MAX", bounds::CEILING_MAX),
        ("CALLS_PER_WINDOW", bounds::CALLS_PER_WINDOW),
        ("CALLS_MAX", bounds::CALLS_MAX as u64),
        ("CALLS_GAP_MAX", bounds::CALLS_GAP_MAX),
        ("STOCK_STALE_MS", bounds::STOCK_STALE_MS),
        ("STOCK_REFRESH_MS", bounds::STOCK_REFRESH_MS),
        ("UNITS_MAX", bounds::UNITS_MAX),
        ("GROWTH_MS", bounds::GROWTH_MS),
        ("JUMP", bounds::JUMP),
        ("VOIDS_MAX", bounds::VOIDS_MAX as u64),
        ("OWED_MS", bounds::OWED_MS),
        ("OWED_REFRESH_MS", bounds::OWED_REFRESH_MS),
        ("BUCKET_MS", pace::BUCKET_MS),
        ("BUCKETS", pace::BUCKETS),
    ];
    let fields: Vec<String> = bounds.iter().map(|(name, bound)| format!("{name} = {bound}")).collect();
    format!("local BOUND = {{ {} }}\n", fields.join(", "))
}

/// The settings in words: within their bounds, on which the script relies.
fn settings(version: u64, first_epoch: u64, rules: &Rules) -> [String; 15] {
    let rules = rules.bounded();
    let mode = match rules.mode {
        Mode::Queue => "queue",
        Mode::Open => "open",
        Mode::Hold => "hold",
        Mode::Closed => "closed",
    };
    let gate = match rules.stock_gate {
        StockGate::Off => "off",
        StockGate::Inform => "inform",
        StockGate::Hold => "hold",
    };
    [
        version.to_string(),
        first_epoch.to_string(),
        mode.to_owned(),
        rules.rate_per_minute.to_string(),
        rules.burst.to_string(),
        maybe(rules.max_active),
        rules.claim_window_ms.to_string(),
        rules.overcall.to_string(),
        rules.session_ms.to_string(),
        if rules.session_renewal { "yes" } else { "no" }.to_owned(),
        maybe(rules.session_max_ms),
        maybe(rules.opens_at.map(|at| at.0)),
        maybe(rules.closes_at.map(|at| at.0)),
        maybe(rules.sale),
        gate.to_owned(),
    ]
}

fn encode_place(args: &mut Args, place: Place) -> &mut Args {
    args.number(place.epoch).number(place.position)
}

fn encode_name(args: &mut Args, name: SessionRef) -> &mut Args {
    args.number(name.epoch).number(name.position).text(&hex(name.tag))
}

/// All grants are one word: there may be many.
fn encode_news<'a>(args: &'a mut Args, news: &StockNews) -> &'a mut Args {
    let phase = match news.phase {
        SalePhase::Scheduled => "scheduled",
        SalePhase::Open => "open",
        SalePhase::Closed => "closed",
    };
    let grant = |grant: &Grant| match grant.session {
        Some(name) => format!("{}:{}:{}:{}", grant.seq, name.epoch, name.position, hex(name.tag)),
        None => grant.seq.to_string(),
    };
    let grants: Vec<String> = news.grants.iter().map(grant).collect();
    args.maybe(Some(&news.sale))
        .word(news.born)
        .word(news.term)
        .word(news.seq)
        .word(news.available)
        .word(news.held)
        .word(phase)
        .word(grants.join(" "))
}

fn hex(tag: Tag) -> String {
    format!("{:016x}", tag.0)
}

fn outcome(line: &str) -> Result<Outcome, Misread> {
    let mut words = Words::of(line);
    Ok(match words.word()? {
        "done" => Outcome::Done,
        "joined" => Outcome::Joined { epoch: words.parse()?, first: words.parse()?, count: words.parse()? },
        "live" => Outcome::Live(session(&mut words)?),
        "waiting" => Outcome::Waiting { ahead: words.parse()? },
        "standing" => Outcome::Standing(standing(&mut words)?),
        "refused" => Outcome::Refused(refusal(&mut words)?),
        _ => return Err(words.misread()),
    })
}

fn session(words: &mut Words<'_>) -> Result<Session, Misread> {
    let (epoch, position) = (words.parse()?, words.parse()?);
    let tag = Tag(u64::from_str_radix(words.word()?, 16).map_err(|_| words.misread())?);
    let name = SessionRef { epoch, position, tag };
    let (start, deadline, exchanged) = (words.parse()?, words.parse()?, words.parse()?);
    Ok(Session { name, start: UnixMs(start), deadline: UnixMs(deadline), exchanged: UnixMs(exchanged) })
}

fn standing(words: &mut Words<'_>) -> Result<Standing, Misread> {
    Ok(match words.word()? {
        "waiting" => Standing::Waiting { ahead: words.parse()? },
        "called" => Standing::Called { deadline: UnixMs(words.parse()?) },
        "inside" => Standing::Inside { deadline: UnixMs(words.parse()?) },
        "lapsed" => Standing::Lapsed,
        "over" => Standing::Over,
        _ => return Err(words.misread()),
    })
}

fn refusal(words: &mut Words<'_>) -> Result<Refusal, Misread> {
    Ok(match words.word()? {
        "unknown_room" => Refusal::UnknownRoom,
        "closed" => Refusal::Closed,
        "reset" => Refusal::Reset,
        "not_issued" => Refusal::NotIssued,
        "lapsed" => Refusal::Lapsed,
        "session_over" => Refusal::SessionOver,
        "unknown_session" => Refusal::UnknownSession,
        "superseded" => Refusal::Superseded,
        "line_ahead" => Refusal::LineAhead,
        _ => return Err(words.misread()),
    })
}

/// What the room shows, from the line of its figures.
fn view(head: &str, answer: &Answer<'_>) -> Result<View, Misread> {
    let mut words = Words::of(head);
    let numbers = (0..10).map(|_| words.parse()).collect::<Result<Vec<u64>, _>>()?;
    let [version, epoch, last, tail, head, entered, lapsed, credit, inside, undecided] = numbers[..] else {
        return Err(words.misread());
    };
    let rules = rules(&mut words)?;
    let stock = stock(&mut words)?;
    let voids = voids(&mut words)?;
    let observed =
        words.rest().split(' ').filter(|word| !word.is_empty()).map(bucket).collect::<Result<Observed, _>>()?;
    let last = UnixMs(last);
    let figures = Figures {
        term: answer.term,
        version,
        rules: &rules,
        epoch,
        last,
        tail,
        head,
        entered,
        lapsed,
        credit,
        inside,
        undecided,
        observed: &observed,
        stock,
        voids: &voids,
    };
    Ok(figures.view(answer.now))
}

pub(super) fn rules(words: &mut Words<'_>) -> Result<Rules, Misread> {
    let mode = match words.word()? {
        "queue" => Mode::Queue,
        "open" => Mode::Open,
        "hold" => Mode::Hold,
        "closed" => Mode::Closed,
        _ => return Err(words.misread()),
    };
    Ok(Rules {
        mode,
        rate_per_minute: words.parse()?,
        burst: words.parse()?,
        max_active: words.maybe_parse()?,
        claim_window_ms: words.parse()?,
        overcall: words.parse()?,
        session_ms: words.parse()?,
        session_renewal: words.word()? == "yes",
        session_max_ms: words.maybe_parse()?,
        opens_at: words.maybe_parse()?.map(UnixMs),
        closes_at: words.maybe_parse()?.map(UnixMs),
        sale: words.maybe()?.map(|id| SaleId::parse(id).map_err(|_| words.misread())).transpose()?,
        stock_gate: match words.word()? {
            "off" => StockGate::Off,
            "inform" => StockGate::Inform,
            "hold" => StockGate::Hold,
            _ => return Err(words.misread()),
        },
    })
}

pub(super) fn stock(words: &mut Words<'_>) -> Result<Option<Stock>, Misread> {
    let born = match words.word()? {
        "-" => return Ok(None),
        word => word.parse().map_err(|_| words.misread())?,
    };
    let (term, seq, available, held) = (words.parse()?, words.parse()?, words.parse()?, words.parse()?);
    let phase = match words.word()? {
        "scheduled" => SalePhase::Scheduled,
        "open" => SalePhase::Open,
        "closed" => SalePhase::Closed,
        _ => return Err(words.misread()),
    };
    Ok(Some(Stock { born, term, seq, available, held, phase, at: UnixMs(words.parse()?) }))
}

fn voids(words: &mut Words<'_>) -> Result<Voids, Misread> {
    let ranges = words.maybe()?.unwrap_or_default().split(',').filter(|range| !range.is_empty());
    ranges.map(void).collect()
}

pub(super) fn void(range: &str) -> Result<Void, Misread> {
    let ends = range.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let (first, last) = ends.ok_or_else(|| Misread(range.to_owned()))?;
    Ok(Void { first, last })
}

pub(super) fn bucket(word: &str) -> Result<(u64, Bucket), Misread> {
    let misread = || Misread(word.to_owned());
    let numbers = word.split(',').map(|number| number.parse().map_err(|_| misread()));
    match numbers.collect::<Result<Vec<u64>, _>>()?[..] {
        [index, stood_ms, moved, entered] => Ok((index, Bucket { stood_ms, moved, entered })),
        _ => Err(misread()),
    }
}
