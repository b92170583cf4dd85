//! Units by SKU: what a reservation is for, what an event tells of, what a buyer has.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use litemap::LiteMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::command::Sku;

/// Units by SKU, in the order of the SKUs: a sorted list, because mostly there is one item, and a tree keeps room for
/// eleven. Three of these stand for every hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units(LiteMap<Sku, u64>);

impl Units {
    /// No units.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds units of a SKU.
    pub fn add(&mut self, sku: &Sku, quantity: u64) {
        match self.0.get_mut(sku) {
            Some(units) => *units += quantity,
            None => {
                if self.0.is_empty() {
                    // Growing by itself a list begins with room for four.
                    self.0 = LiteMap::with_capacity(1);
                }
                self.0.insert(sku.clone(), quantity);
            }
        }
    }
}

impl Deref for Units {
    type Target = LiteMap<Sku, u64>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Units {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(Sku, u64)> for Units {
    fn from_iter<I: IntoIterator<Item = (Sku, u64)>>(units: I) -> Self {
        let units = units.into_iter();
        let mut all = LiteMap::with_capacity(units.size_hint().0);
        for (sku, quantity) in units {
            all.insert(sku, quantity);
        }
        Self(all)
    }
}

impl<const N: usize> From<[(Sku, u64); N]> for Units {
    fn from(units: [(Sku, u64); N]) -> Self {
        units.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Units {
    type Item = (&'a Sku, &'a u64);
    type IntoIter = <&'a LiteMap<Sku, u64> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Units {
    type Item = (Sku, u64);
    type IntoIter = <LiteMap<Sku, u64> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// As a map, whatever the format.
impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a tree, which believes nobody who says how much is to come.
        Ok(BTreeMap::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_written_and_read_as_the_map_they_are() {
        let sku = |text| Sku::parse(text).unwrap();
        let mut units = Units::from([(sku("b"), 1), (sku("a"), 2)]);
        units.add(&sku("b"), 4);
        units.add(&sku("c"), 3);
        let map = BTreeMap::from([(sku("a"), 2_u64), (sku("b"), 5), (sku("c"), 3)]);
        for (units, map) in [(units, map), (Units::new(), BTreeMap::new())] {
            let bytes = postcard::to_stdvec(&units).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&map).unwrap());
            assert_eq!(postcard::from_bytes::<Units>(&bytes).unwrap(), units);
            assert_eq!(serde_json::to_string(&units).unwrap(), serde_json::to_string(&map).unwrap());
        }
        // More than there can be is said to come.
        assert!(postcard::from_bytes::<Units>(&[0xff; 9]).is_err());
    }
}
