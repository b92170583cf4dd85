//! What a buyer asks for: the body of a reservation, read strictly, and the fingerprint that tells a repeated body
//! from another.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{extract::objects, idempotency::hash, problem::Problem, sale_refusals},
    sale::{self, Buyer, ReservationId, Sku, command::Fingerprint},
    token::reservation::read_reservation_name,
};

/// What a buyer asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// 1 to 20; the same SKU on two lines is summed.
    #[serde(deserialize_with = "objects")]
    lines: Vec<WantedLine>,
    /// How long to hold, at most the sale's `hold_max_seconds`; its `hold_seconds` if left out.
    #[schema(minimum = 1)]
    hold_seconds: Option<u64>,
    /// Who buys, in the shop's words; only with a key. Limits count by buyer.
    #[schema(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    buyer: Option<Buyer>,
    /// A hold of the same buyer that this one takes the place of, in one step.
    #[schema(format = "uuid")]
    replaces: Option<String>,
}

/// Units of one SKU.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedLine {
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$", example = "shoe-42")]
    sku: Sku,
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    quantity: u64,
}

/// The same, read.
#[derive(Debug)]
pub(super) struct Ask {
    pub lines: Vec<sale::Line>,
    pub hold_seconds: Option<u64>,
    pub buyer: Option<Buyer>,
    pub replaces: Option<ReservationId>,
}

impl Wanted {
    /// Reads what types can't say.
    ///
    /// # Errors
    /// 400 naming the field.
    pub(super) fn read(self) -> Result<Ask, Problem> {
        let lines = read_lines(self.lines)?;
        let replaces = match self.replaces.as_deref().map(read_reservation_name) {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => {
                return Err(Problem::invalid_field("replaces", "must be a reservation's id, as it was given"));
            }
        };
        Ok(Ask { lines, hold_seconds: self.hold_seconds, buyer: self.buyer, replaces })
    }
}

/// Lines within the bounds of a reservation.
///
/// # Errors
/// 400 naming the line at fault.
pub(super) fn read_lines(lines: Vec<WantedLine>) -> Result<Vec<sale::Line>, Problem> {
    let line = |WantedLine { sku, quantity }| sale::Line { sku, quantity };
    let lines: Vec<_> = lines.into_iter().map(line).collect();
    // The sale would say the same: refused here it costs the store nothing.
    sale::check_lines(&lines).map_err(sale_refusals::problem)?;
    Ok(lines)
}

impl Ask {
    /// The first 128 bits of a hash over what was asked, however it was written: lines summed by SKU and sorted. `buyer`
    /// is whose limits count, named in the body or by a pass: what is another's is never shown for one's own.
    pub(super) fn fingerprint(&self, buyer: Option<&Buyer>) -> Fingerprint {
        let mut units = BTreeMap::<&Sku, u64>::new();
        for line in &self.lines {
            *units.entry(&line.sku).or_default() += line.quantity;
        }
        let number = |number: u64| number.to_string();
        let mut parts = vec!["reserve".to_owned(), number(units.len() as u64)];
        parts.extend(units.into_iter().flat_map(|(sku, quantity)| [sku.to_string(), number(quantity)]));
        // What is left out is an empty part, which none of these can be when it is there.
        parts.push(self.hold_seconds.map_or_else(String::new, number));
        parts.push(buyer.map_or_else(String::new, Buyer::to_string));
        parts.push(self.replaces.map_or_else(String::new, |id| id.0.to_string()));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Fingerprint(u128::from_be_bytes(hash(&parts)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::extract::parse_json;

    fn read(body: &Value) -> Result<Ask, String> {
        let named = |problem: Problem| problem.fields.get("field").map_or_else(String::new, |field| field.to_string());
        let wanted: Wanted = parse_json(body.to_string().as_bytes()).map_err(named)?;
        wanted.read().map_err(named)
    }

    fn print(body: &Value) -> Fingerprint {
        let ask = read(body).unwrap();
        ask.fingerprint(ask.buyer.as_ref())
    }

    #[test]
    fn the_same_wish_in_other_words_is_the_same() {
        let one = print(&json!({ "lines": [{ "sku": "a", "quantity": 3 }, { "sku": "b", "quantity": 1 }] }));
        let summed = [("b", 1), ("a", 2), ("a", 1)].map(|(sku, n)| json!({ "sku": sku, "quantity": n }));
        assert_eq!(print(&json!({ "lines": summed, "hold_seconds": null })), one);
        // Written down: one that changed with a release would refuse a repeated call as another.
        assert_eq!(one, Fingerprint(253_439_611_689_696_651_645_441_588_036_503_446_045));
    }

    #[test]
    fn every_part_of_a_wish_counts() {
        let id = "f5f47872-8414-888a-a45a-74fac051e2c9";
        let bodies = [
            json!({ "lines": [{ "sku": "a", "quantity": 12 }] }),
            json!({ "lines": [{ "sku": "a", "quantity": 11 }] }),
            json!({ "lines": [{ "sku": "a1", "quantity": 2 }] }),
            json!({ "lines": [{ "sku": "a", "quantity": 1 }, { "sku": "b", "quantity": 11 }] }),
            json!({ "lines": [{ "sku": "a", "quantity": 12 }], "hold_seconds": 60 }),
            json!({ "lines": [{ "sku": "a", "quantity": 12 }], "buyer": "60" }),
            json!({ "lines": [{ "sku": "a", "quantity": 12 }], "replaces": id }),
        ];
        let prints: std::collections::BTreeSet<u128> = bodies.iter().map(|body| print(body).0).collect();
        assert_eq!(prints.len(), bodies.len());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let line = |quantity: Value| json!({ "lines": [{ "sku": "a", "quantity": quantity }] });
        let lines = |count: usize| json!({ "lines": vec![json!({ "sku": "a", "quantity": 1 }); count] });
        for (body, field) in [
            (json!({}), "lines"),
            (json!({ "lines": null }), "lines"),
            (json!({ "lines": {} }), "lines"),
            (lines(0), "lines"),
            (lines(21), "lines"),
            (json!({ "lines": [[]] }), "lines[0]"),
            (json!({ "lines": [7] }), "lines[0]"),
            (json!({ "lines": [["shoe", 1]] }), "lines[0]"),
            (json!({ "lines": [{ "sku": "a" }] }), "lines[0].quantity"),
            (json!({ "lines": [{ "quantity": 1 }] }), "lines[0].sku"),
            (json!({ "lines": [{ "sku": "a", "quantity": 1, "price": 0 }] }), "lines[0].price"),
            (json!({ "lines": [{ "sku": "a b", "quantity": 1 }] }), "lines[0].sku"),
            (json!({ "lines": [{ "sku": "", "quantity": 1 }] }), "lines[0].sku"),
            (line(json!(0)), "lines[0].quantity"),
            (line(json!(-1)), "lines[0].quantity"),
            (line(json!(1.5)), "lines[0].quantity"),
            (line(json!(1.0)), "lines[0].quantity"),
            (line(json!("1")), "lines[0].quantity"),
            (line(json!(null)), "lines[0].quantity"),
            (line(json!(1_000_000_001_u64)), "lines[0].quantity"),
            (line(json!(u64::MAX)), "lines[0].quantity"),
            (line(json!(1e300)), "lines[0].quantity"),
            (json!({ "lines": [], "hold_seconds": "60" }), "hold_seconds"),
            (json!({ "lines": [], "buyer": "two words" }), "buyer"),
            (json!({ "lines": [{ "sku": "a", "quantity": 1 }], "replaces": "x" }), "replaces"),
            (json!({ "lines": [], "colour": 1 }), "colour"),
        ] {
            assert_eq!(read(&body).map(drop), Err(json!(field).to_string()), "{body}");
        }
    }
}
