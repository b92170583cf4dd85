//! `dropgate audit`: folds the events of a sale and compares them with its stock.

use std::{path::Path, sync::Arc};

use clap::Args;
use secrecy::SecretString;

use super::Failure;
use crate::{
    app::link_options,
    clock::Clock,
    config::{self, StoreUrl},
    id::SaleId,
    store::{
        audit::{AuditReport, audit_sale},
        embedded::{Embedded, OpenError, is_store},
        redis::{RedisStore, link::Link},
    },
    telemetry::Metrics,
    time::UnixMs,
};

#[derive(Args)]
pub struct Arguments {
    /// Where the sale lives: `file:PATH`, of an instance that is stopped, or `redis://…`, which may be in service.
    #[arg(long, value_name = "URL")]
    store: StoreUrl,
    /// Of Redis; beats one in the URL.
    #[arg(skip = std::env::var("DROPGATE_STORE_PASSWORD").ok())]
    password: Option<String>,
    /// The sale's id.
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    sale: SaleId,
}

/// Prints what was found; a failure where anything differs.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { store, sale, password } = arguments;
    let report = match &store {
        StoreUrl::File(path) => audit_sale(&open(path)?, sale.clone()).await,
        StoreUrl::Memory => {
            let detail =
                "a store in memory is gone with its process: name the folder of a stopped instance, `file:PATH`";
            return Err(Failure::Usage(detail.to_owned()));
        }
        StoreUrl::Redis(url) => {
            let settings = config::Store { password: password.map(SecretString::from), ..config::Store::default() };
            let link = Link::open(url, link_options(&settings, &Arc::new(Metrics::new()))).await;
            let link = link.map_err(|error| Failure::failed("opening the store", &error))?;
            audit_sale(&RedisStore::new(link), sale.clone()).await
        }
    };
    let report = report.map_err(|error| Failure::failed("reading the sale", &error))?;
    let none = || Failure::Usage(format!("{store} has no sale `{sale}`"));
    tell(&report.ok_or_else(none)?)
}

fn parse_id(text: &str) -> Result<SaleId, String> {
    SaleId::parse(text).map_err(|error| error.to_string())
}

/// Opens the store of a stopped instance; never makes one.
fn open(path: &Path) -> Result<Embedded, Failure> {
    if !is_store(path) {
        return Err(Failure::Usage(format!("{}: there is no store", path.display())));
    }
    // At the beginning of time: a sale's time never runs backwards, so it is seen as of the last that happened to it, and
    // nothing expires because somebody looks.
    let clock = Clock::new(|| UnixMs(0));
    Embedded::file(path, clock, Arc::new(Metrics::new())).map_err(|error| match error {
        OpenError::InUse { .. } => {
            Failure::Usage(format!("{}: in use by a running instance: stop it first", path.display()))
        }
        error => Failure::failed("opening the store", &error),
    })
}

fn tell(report: &AuditReport) -> Result<(), Failure> {
    let AuditReport { sale, view, walk, .. } = report;
    println!("sale {sale}: {} events, from {} to {}", report.events, report.first_seq, view.seq);
    println!("reservations: {} held, {} confirmed, {} ended and remembered", walk.held, walk.confirmed, walk.ended);
    for item in &view.items {
        let (sku, total, available, held, sold) = (&item.sku, item.total, item.available, item.held, item.sold);
        println!("{sku}: {total} in all = {available} available + {held} held + {sold} sold");
    }
    let differences: Vec<String> = report.differences().map(ToString::to_string).collect();
    for difference in &differences {
        println!("difference: {difference}");
    }
    if report.is_clean() {
        println!("the events give the stock, and the reservations its books");
        return Ok(());
    }
    Err(Failure::Failed(format!("sale {sale}: differences: {}", differences.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::{View, audit::Difference, books::Walk, view::Phase};

    #[test]
    fn a_difference_is_a_failure() {
        let view = View { now: UnixMs(0), term: 0, version: 1, born: 1, phase: Phase::Open, items: Vec::new(), seq: 3 };
        let sale = SaleId::parse("drop").expect("an id");
        let clean = AuditReport { sale, view, first_seq: 1, events: 3, walk: Walk::default(), fold: Ok(()) };
        assert!(tell(&clean).is_ok());
        let gap = AuditReport { fold: Err(Difference::Gap { after: 1, found: 3 }), ..clean.clone() };
        let walk = Walk { differences: vec![Difference::End { told: 1, found: 2 }], ..Walk::default() };
        for broken in [gap, AuditReport { walk, ..clean }] {
            assert!(matches!(tell(&broken), Err(Failure::Failed(said)) if said == "sale drop: differences: 1"));
        }
    }
}
