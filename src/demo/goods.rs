//! What the demo shop sells: one kite in three sizes, and how many of it a person gets.

use serde_json::{Value, json};

/// The sale the kites are in.
pub const SALE: &str = "kites";

/// How many of one size a person gets.
pub const PER_SIZE: u64 = 2;

/// How many of all sizes a person gets.
pub const PER_BUYER: u64 = 3;

/// How long a basket is kept: short, so that a short run shows baskets expire and their kites sell on.
pub const HOLD_SECONDS: u64 = 12;

/// How long "more time" may keep it: a person reads slower than the crowd.
pub const HOLD_MAX_SECONDS: u64 = 90;

/// How much longer it lives once its buyer is at the payment provider: longer than the hold, so that a short run
/// shows payments that come after the one and before the other.
pub const GRACE_SECONDS: u64 = 14;

/// One size of the kite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub sku: &'static str,
    pub name: &'static str,
    pub span: &'static str,
    /// In euros.
    pub price: u64,
    /// Of a hundred kites, how many are of this size.
    share: u64,
}

/// The sizes, small to large.
pub const SIZES: [Size; 3] = [
    Size { sku: "kite-7-s", name: "Small", span: "1.4 m", price: 69, share: 30 },
    Size { sku: "kite-7-m", name: "Medium", span: "1.9 m", price: 89, share: 45 },
    Size { sku: "kite-7-l", name: "Large", span: "2.6 m", price: 119, share: 25 },
];

/// How many of each size there are among `total`: by their shares, and the rounding to the most wanted.
pub fn split(total: u64) -> [u64; 3] {
    let [small, medium, large] = SIZES.map(|size| total * size.share / 100);
    [small, medium + (total - small - medium - large), large]
}

/// The size of that SKU.
pub fn size_of(sku: &str) -> Option<&'static Size> {
    SIZES.iter().find(|size| size.sku == sku)
}

/// The sale's document: `total` kites, sold to whoever came through this room.
pub fn document(total: u64, room: &str) -> Value {
    let item = |(size, units): (&Size, u64)| json!({ "sku": size.sku, "name": size.name, "total": units, "per_buyer": PER_SIZE });
    json!({
        "id": SALE,
        "name": "Kite No. 7",
        "items": SIZES.iter().zip(split(total)).map(item).collect::<Vec<_>>(),
        "hold_seconds": HOLD_SECONDS,
        "hold_max_seconds": HOLD_MAX_SECONDS,
        "payment_grace_seconds": GRACE_SECONDS,
        "max_units_per_buyer": PER_BUYER,
        "requires_pass": [room],
        "finish_session": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::Document;

    #[test]
    fn every_kite_has_a_size() {
        for total in [0, 1, 2, 3, 10, 99, 500, 4_294_967_295] {
            assert_eq!(split(total).iter().sum::<u64>(), total);
        }
        assert_eq!(split(500), [150, 225, 125]);
    }

    #[test]
    fn the_sale_can_be_taken() {
        let document: Document = serde_json::from_value(document(500, "main")).unwrap();
        document.validate().unwrap();
    }
}
