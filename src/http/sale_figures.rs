//! The figures of sales, read at the moment they are asked for: nothing to keep in step, and a deleted sale is gone at
//! once.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    instance::{Instance, LiveSale},
    sale::View,
};

/// The most items with figures of their own, over all sales: four series each, and a scrape of a few thousand lines is
/// what monitoring bears. Sales are taken by id, each whole or not at all; their sums are there in any case.
const ITEMS_MAX: usize = 1_000;

/// How long the store may take for all of them: a scrape that waits longer is given up by who scrapes.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// How many sales are asked at a time.
const ASKED_AT_ONCE: usize = 32;

/// A sale we serve, never one that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SaleLabel {
    sale: String,
}

/// An item of a sale we serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemLabel {
    sale: String,
    sku: String,
}

/// What the sales show of themselves.
pub(super) async fn sale_figures(instance: &Instance) -> Registry {
    let mut registry = Registry::with_prefix("dropgate");
    let sales = instance.sales();
    let (shown, left_out) = within(&sales, ITEMS_MAX);
    sums(&mut registry, &sales);
    let figures = ItemFigures::register(&mut registry);
    let asked = stream::iter(shown).map(async |sale| Some((sale, sale.recent_items(&instance.clock).await.ok()??)));
    let tell = asked.buffer_unordered(ASKED_AT_ONCE).for_each(async |answer| {
        if let Some((sale, view)) = answer {
            figures.set(sale, &view);
        }
    });
    if tokio::time::timeout(ASKED_WITHIN, tell).await.is_err() {
        tracing::warn!("the store did not answer in time: the figures of some items are missing");
    }
    let omitted: Gauge = Gauge::default();
    omitted.set(i64::try_from(left_out).unwrap_or(i64::MAX));
    registry.register("items_without_figures", "Items of sales left out to keep the figures bounded", omitted);
    registry
}

/// The sales that fit into so many items, by id, and how many items the others have.
fn within<S: AsRef<LiveSale>>(sales: &[S], most: usize) -> (Vec<&LiveSale>, usize) {
    let (mut shown, mut items, mut left_out) = (Vec::new(), 0, 0);
    for sale in sales.iter().map(AsRef::as_ref) {
        let of_sale = sale.document.items.len();
        if items + of_sale <= most {
            items += of_sale;
            shown.push(sale);
        } else {
            left_out += of_sale;
        }
    }
    (shown, left_out)
}

/// What every answer of a sale tells, and so costs no question.
fn sums(registry: &mut Registry, sales: &[std::sync::Arc<LiveSale>]) {
    let mut family = |name: &str, help: &str| {
        let figures = Family::<SaleLabel, Gauge>::default();
        registry.register(name, help, figures.clone());
        figures
    };
    let available = family("sale_available", "Units available, over all items of the sale");
    let held = family("sale_held", "Units held, over all items of the sale");
    let version = family("sale_settings_version", "The version of the settings in force");
    let lost = family("sale_needs_operator", "1 where the store has lost the sale and its operator has to decide");
    for sale in sales {
        let label = SaleLabel { sale: sale.id.to_string() };
        lost.get_or_create(&label).set(i64::from(sale.needs_operator()));
        let Some(header) = sale.lane.header() else { continue };
        let set = |figures: &Family<SaleLabel, Gauge>, value: u64| {
            let label = SaleLabel { sale: sale.id.to_string() };
            figures.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&available, header.available);
        set(&held, header.held);
        set(&version, header.version);
    }
}

/// One family a column of the books.
struct ItemFigures {
    total: Family<ItemLabel, Gauge>,
    available: Family<ItemLabel, Gauge>,
    held: Family<ItemLabel, Gauge>,
    sold: Family<ItemLabel, Gauge>,
}

impl ItemFigures {
    fn register(registry: &mut Registry) -> Self {
        let mut family = |name: &str, help: &str| {
            let figures = Family::<ItemLabel, Gauge>::default();
            registry.register(name, help, figures.clone());
            figures
        };
        // Not `item_total`: the ending says to Prometheus that a figure only ever rises.
        Self {
            total: family("item_stock", "Units in all: available, held and sold"),
            available: family("item_available", "Units that can be reserved"),
            held: family("item_held", "Units in live holds"),
            sold: family("item_sold", "Units confirmed"),
        }
    }

    fn set(&self, sale: &LiveSale, view: &View) {
        for item in &view.items {
            let columns = [
                (&self.total, item.total),
                (&self.available, item.available),
                (&self.held, item.held),
                (&self.sold, item.sold),
            ];
            for (figures, value) in columns {
                let label = ItemLabel { sale: sale.id.to_string(), sku: item.sku.to_string() };
                figures.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use serde_json::{Value, json};

    use crate::http::testing::Bench;

    async fn with_items(bench: &Bench, id: &str, count: usize) {
        let items: Vec<_> =
            (0..count).map(|n| json!({ "sku": format!("s-{n}\"\\"), "name": "x", "total": 7 })).collect();
        let path = format!("/v1/sales/{id}");
        assert_eq!(bench.call(Method::PUT, &path, json!({ "name": "x", "items": items })).await.status, 201);
    }

    async fn scrape(bench: &Bench) -> String {
        let reply = bench.call(Method::GET, "/metrics", Value::Null).await;
        assert_eq!(reply.status, 200);
        reply.body.as_str().unwrap().to_owned()
    }

    #[actix_web::test]
    async fn every_item_has_its_columns_until_the_sale_is_gone() {
        let bench = Bench::new().await;
        with_items(&bench, "drop", 2).await;
        let text = scrape(&bench).await;
        for line in [
            r#"dropgate_item_available{sale="drop",sku="s-1\"\\"} 7"#,
            r#"dropgate_item_stock{sale="drop",sku="s-0\"\\"} 7"#,
            r#"dropgate_item_held{sale="drop",sku="s-0\"\\"} 0"#,
            r#"dropgate_item_sold{sale="drop",sku="s-0\"\\"} 0"#,
            r#"dropgate_sale_available{sale="drop"} 14"#,
            "dropgate_items_without_figures 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert_eq!(bench.call(Method::DELETE, "/v1/sales/drop", Value::Null).await.status, 204);
        assert!(!scrape(&bench).await.contains("sale=\"drop\""));
    }

    #[actix_web::test]
    async fn the_figures_stay_bounded() {
        let bench = Bench::new().await;
        for (id, count) in [("a", 600), ("b", 600), ("c", 300)] {
            with_items(&bench, id, count).await;
        }
        let text = scrape(&bench).await;
        let items = |sale: &str| text.matches(&format!("dropgate_item_sold{{sale=\"{sale}\"")).count();
        assert_eq!((items("a"), items("b"), items("c")), (600, 0, 300));
        assert!(text.lines().any(|line| line == "dropgate_items_without_figures 600"));
        assert!(text.contains("dropgate_sale_available{sale=\"b\"} 4200"), "the sums are there all the same");
    }
}
