//! What came of a run, and whether every promise held.

use std::{collections::BTreeSet, fmt};

use hdrhistogram::Histogram;

use super::{
    checks::{self, Bounds, SETTLING_MS, Verdict},
    ledger::Ledger,
    proof,
    shop::books::{Order, Repeats},
    tally::Seen,
};

/// Of a thousand visitors, how many may give up because nothing worked before a run proves nothing.
const GAVE_UP_MAX_PER_MILLE: u64 = 10;

/// Everything there is to judge a run by.
pub struct Evidence {
    pub seen: Seen,
    pub bounds: Bounds,
    pub seconds: u64,
    /// How many units there were to sell.
    pub stock: u64,
    /// The event feed, folded to its end and compared with the sale; or why it could not be.
    pub ledger: Result<Ledger, String>,
    pub orders: Vec<Order>,
    pub repeats: Repeats,
    /// How long reserves took, at the shop.
    pub reserve_us: Histogram<u64>,
    /// The places the shop let in.
    pub let_in: BTreeSet<u64>,
    /// Answers to joins that nobody of the crowd heard.
    pub unheard_joins: u64,
    /// What was changed by hand while it ran, so that the bounds it began with say nothing any more.
    pub changed: Option<&'static str>,
}

/// A run, judged.
pub struct Summary {
    evidence: Evidence,
    verdicts: Vec<(&'static str, Verdict)>,
}

impl Summary {
    /// Judges a run.
    pub fn of(evidence: Evidence) -> Self {
        let verdicts = judge(&evidence);
        Self { evidence, verdicts }
    }

    /// Whether any promise was broken.
    pub fn is_broken(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Broken(_)))
    }
}

fn judge(evidence: &Evidence) -> Vec<(&'static str, Verdict)> {
    // What a person changed in the room, the room's own bounds at the start cannot be held against.
    let unless_changed = |verdict: fn(&Evidence) -> Verdict| match evidence.changed {
        None => verdict(evidence),
        Some(changed) => Verdict::NotMeasured(format!("{changed} by hand")),
    };
    vec![
        ("positions", unless_changed(positions)),
        ("sessions", unless_changed(|e| checks::sessions(&e.seen.sessions))),
        ("entries, as the room counts", unless_changed(|e| checks::entries_inside(&e.seen.samples, e.bounds))),
        ("entries, as the crowd saw", unless_changed(|e| checks::entries_outside(&e.seen.entries, e.bounds))),
        ("calls at the room's rate", unless_changed(|e| checks::steady_rate(&e.seen.samples, e.bounds))),
        ("nobody entered uncounted", unless_changed(entered_counted)),
        ("stock", on_books(evidence, |ledger| proof::stock(ledger, evidence.stock, &evidence.seen.answered))),
        ("orders", on_books(evidence, |ledger| proof::orders(ledger, &evidence.orders))),
        ("answers", proof::answers(&evidence.seen.answered, &evidence.orders)),
        ("forms sent twice", proof::repeats(evidence.repeats)),
        ("the way into the shop", way_in(evidence)),
        ("service", service(evidence)),
    ]
}

fn positions(evidence: &Evidence) -> Verdict {
    let tail = evidence.seen.samples.last().map_or(0, |sample| sample.tail);
    checks::positions(&evidence.seen.joined, &evidence.let_in, tail, evidence.unheard_joins)
}

/// Whoever was let in is counted in the room.
fn entered_counted(evidence: &Evidence) -> Verdict {
    let room = evidence.seen.samples.last().map_or(0, |sample| sample.entered);
    let crowd = evidence.seen.counts.entered;
    let said = format!("{crowd} of the crowd entered, the room counts {room}");
    if crowd <= room { Verdict::Holds(said) } else { Verdict::Broken(said) }
}

/// A verdict on the books; books that could not be read to their end prove nothing.
fn on_books(evidence: &Evidence, verdict: impl FnOnce(&Ledger) -> Verdict) -> Verdict {
    match &evidence.ledger {
        Ok(ledger) => verdict(ledger),
        Err(why) => Verdict::Broken(format!("the events could not be read: {why}")),
    }
}

fn way_in(evidence: &Evidence) -> Verdict {
    match evidence.seen.broken.split_first() {
        None => Verdict::Holds("each pass opened the shop to its own session".to_owned()),
        Some((first, rest)) => Verdict::Broken(format!("{first}, and {} more like it", rest.len())),
    }
}

fn service(evidence: &Evidence) -> Verdict {
    let counts = evidence.seen.counts;
    let failures: u64 = evidence.seen.troubles.values().sum();
    let said = format!("{failures} calls failed and were tried again, {} visitors gave up", counts.gave_up);
    if counts.gave_up * 1_000 <= counts.arrived * GAVE_UP_MAX_PER_MILLE {
        Verdict::Holds(said)
    } else {
        Verdict::Broken(said)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evidence { seen, bounds, seconds, .. } = &self.evidence;
        let counts = seen.counts;
        writeln!(f, "{seconds} s at {} a minute", bounds.rate_per_minute)?;
        writeln!(f)?;
        writeln!(
            f,
            "  visitors  {} arrived · {} joined · {} entered",
            counts.arrived,
            seen.joined.len(),
            counts.entered
        )?;
        writeln!(
            f,
            "            {} came too late · {} left · {} left when all was sold · {} went without a word",
            counts.lapsed, counts.left, counts.told_sold_out, counts.vanished
        )?;
        self.sales(f)?;
        let passed_on = seen.samples.last().map_or(0, |sample| sample.lapsed);
        writeln!(f, "  places    {passed_on} passed on to the next: nobody came, or they were given back")?;
        if let Some(per_minute) = entries_per_minute(seen, *bounds) {
            writeln!(
                f,
                "  entries   {per_minute} a minute while a line stood, at a rate of {}",
                bounds.rate_per_minute
            )?;
        }
        writeln!(f)?;
        writeln!(f, "  answers          p50        p95        p99       count")?;
        answers(f, "join", &seen.join_us)?;
        answers(f, "status", &seen.status_us)?;
        answers(f, "reserve", &self.evidence.reserve_us)?;
        writeln!(f)?;
        for (trouble, times) in &seen.troubles {
            writeln!(f, "  trouble   {times} × {trouble}")?;
        }
        for (name, verdict) in &self.verdicts {
            match verdict {
                Verdict::Holds(said) => writeln!(f, "  holds     {name}: {said}")?,
                Verdict::NotMeasured(why) => writeln!(f, "  unknown   {name}: {why}")?,
                Verdict::Broken(said) => writeln!(f, "  BROKEN    {name}: {said}")?,
            }
        }
        Ok(())
    }
}

impl Summary {
    /// What the crowd did in the shop.
    fn sales(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.evidence.seen.counts;
        let (sold, events) = match &self.evidence.ledger {
            Ok(ledger) => (ledger.sold(), ledger.counts),
            Err(_) => Default::default(),
        };
        writeln!(
            f,
            "  shop      {sold} of {} sold · {} found it sold out · {} only looked",
            self.evidence.stock, counts.found_sold_out, counts.wandered_off
        )?;
        writeln!(
            f,
            "  baskets   {} held · {} expired · {} given back or swapped · {} units sold on to others",
            events.held, events.expired, events.released, events.units_back
        )?;
        writeln!(
            f,
            "  payments  {} bought, {} of them late and {} after the grace · {} refunded · {} declined · {} in part",
            counts.bought,
            counts.bought_late,
            counts.bought_too_late,
            counts.refunded,
            counts.declined,
            counts.bought_part
        )?;
        let refused = |times: u64, why: &str| if times == 0 { String::new() } else { format!(" · {times} {why}") };
        writeln!(
            f,
            "  refusals  {} of {} forms{}{}{}{}",
            counts.refused(),
            counts.refused() + counts.filled,
            refused(counts.refused_sold_out, "sold out"),
            refused(counts.refused_all_held, "all in baskets"),
            refused(counts.refused_limit, "above the limit"),
            refused(counts.refused_invalid, "no number of kites"),
        )?;
        Ok(())
    }
}

fn answers(f: &mut fmt::Formatter<'_>, name: &str, times_us: &Histogram<u64>) -> fmt::Result {
    #[expect(clippy::cast_precision_loss, reason = "shown to a hundredth of a millisecond")]
    let ms = |quantile| times_us.value_at_quantile(quantile) as f64 / 1_000.0;
    let (p50, p95, p99) = (ms(0.50), ms(0.95), ms(0.99));
    writeln!(f, "    {name:<8} {p50:>8.2} ms {p95:>7.2} ms {p99:>7.2} ms {:>9}", times_us.len())
}

/// Entries a minute over the stretch the rate is measured on.
fn entries_per_minute(seen: &Seen, bounds: Bounds) -> Option<u64> {
    let (first, last) = checks::standing_stretch(&seen.samples, bounds.opened_ms + SETTLING_MS)?;
    Some((last.entered - first.entered) * 60_000 / (last.at_ms - first.at_ms))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::demo::{
        shop::{books::OrderState, till::Units},
        tally::{Tally, answer_times},
    };

    /// A run in which somebody joined, bought the only unit, and went.
    fn honest() -> Evidence {
        let line = serde_json::json!([{ "sku": "a", "quantity": 1 }]);
        let events = serde_json::json!([
            { "seq": 1, "type": "item.restocked", "sku": "a", "delta": 1 },
            { "seq": 2, "type": "reservation.held", "reservation": "r", "lines": line },
            { "seq": 3, "type": "reservation.confirmed", "reservation": "r", "order": "o", "lines": line, "returned": [] },
        ]);
        let mut ledger = Ledger::default();
        let events: Vec<crate::demo::ledger::Event> = serde_json::from_value(events).unwrap();
        events.iter().for_each(|event| ledger.fold(event));
        let tally = Tally::new(Instant::now()).unwrap();
        tally.answered("o".to_owned(), 1);
        tally.count(|counts| (counts.arrived, counts.bought) = (1, 1));
        let units = Units::from([("a".to_owned(), 1)]);
        let order = Order {
            reference: "o".to_owned(),
            buyer: "me".to_owned(),
            reservation: "r".to_owned(),
            state: OrderState::Confirmed(units.clone()),
            units,
        };
        Evidence {
            seen: tally.snapshot(),
            bounds: Bounds { rate_per_minute: 600, surge: 5, opened_ms: 0 },
            seconds: 1,
            stock: 1,
            ledger: Ok(ledger),
            orders: vec![order],
            repeats: Repeats::default(),
            reserve_us: answer_times().unwrap(),
            let_in: BTreeSet::new(),
            unheard_joins: 0,
            changed: None,
        }
    }

    /// Whether a run, doctored so, is found out.
    fn is_found_out(doctor: impl FnOnce(&mut Evidence)) -> bool {
        let mut evidence = honest();
        doctor(&mut evidence);
        Summary::of(evidence).is_broken()
    }

    #[test]
    fn an_honest_run_holds_and_says_so() {
        let summary = Summary::of(honest());
        assert!(!summary.is_broken(), "{summary}");
        let said = summary.to_string();
        assert!(said.contains("1 of 1 sold, 0 oversold; 3 events, folded, are the stock as it stands"), "{said}");
    }

    #[test]
    fn a_doctored_run_is_found_out_whatever_was_doctored() {
        assert!(!is_found_out(|_| {}));
        assert!(is_found_out(|run| run.ledger = Err("nobody there".to_owned())), "no books");
        assert!(is_found_out(|run| run.orders.clear()), "an order lost");
        assert!(is_found_out(|run| run.orders[0].state = OrderState::TooLate), "refunded, and bought");
        assert!(is_found_out(|run| run.orders[0].state = OrderState::Paid(Units::new())), "paid, and no answer");
        assert!(is_found_out(|run| run.seen.answered[0].1 = 2), "told of more than there was");
        assert!(is_found_out(|run| run.repeats.other = 1), "a key with two reservations");
        assert!(is_found_out(|run| run.seen.broken.push("anything".to_owned())), "seen by a visitor");
        assert!(is_found_out(|run| run.seen.counts.gave_up = 1), "nobody could buy");
        assert!(is_found_out(|run| run.seen.joined.extend([1, 1])), "a position twice");
        assert!(is_found_out(|run| run.seen.counts.entered = 1), "somebody nobody counted");
    }
}
