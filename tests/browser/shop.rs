//! The demo's shop in a person's hands: from the line into a basket, to the till and to an order, with and without script.

use std::time::Duration;

use crate::{
    looks::{is_sound, phone},
    scene::{Eyes, picture},
    support::{
        SOON,
        browser::{Browser, Manner, Permission, Scheme},
        eventually,
        process::Process,
        server::dropgate,
    },
};

/// A demo without much of a crowd, so that there is something left.
struct Demo {
    // Held for as long as the shop is to stay open.
    _process: Process,
    shop: String,
}

impl Demo {
    /// A demo whose line has opened.
    async fn open() -> Self {
        let arguments = ["demo", "--listen", "127.0.0.1:0", "--crowd", "1", "--rate", "6000", "--stock", "5000"];
        let mut process = Process::start("the demo", dropgate().args(arguments).args(["--for", "5m"]));
        let shop = process.line_after("  the shop        ", SOON);
        // Before that nobody is let in, whoever comes.
        eventually("the line opens", SOON, async || {
            let output = process.output();
            if output.contains("     5 s") { Ok(()) } else { Err(output) }
        })
        .await;
        Self { _process: process, shop }
    }

    /// A browser that stands in the shop.
    async fn visitor(&self, manner: &Manner) -> Browser {
        let browser = Browser::open(manner).await;
        browser.page.goto(&self.shop).await.unwrap();
        browser.sees("h1", "Kite No. 7").await;
        browser
    }
}

/// A phone at night, with scripts refused.
fn plain_phone() -> Manner {
    Manner { scheme: Scheme::Dark, scripts: Permission::Refused, ..phone() }
}

async fn puts_two_mediums_into_the_basket(browser: &Browser) {
    browser.presses("input[value=kite-7-m]").await;
    browser.presses("#quantity option:nth-child(2)").await;
    browser.presses("form button").await;
}

#[tokio::test]
async fn a_person_buys_from_the_basket_to_the_order() {
    let demo = Demo::open().await;
    let browser = demo.visitor(&Manner::default()).await;
    browser.picture(&picture("shop-product")).await;
    puts_two_mediums_into_the_basket(&browser).await;
    browser.sees("h1", "Your basket").await;
    browser.begins(".what", "2 × Medium").await;
    browser.picture(&picture("shop-basket")).await;
    browser.presses("form[action='/checkout'] button").await;
    browser.sees("h1", "€ 178").await;
    browser.picture(&picture("shop-payment")).await;
    browser.presses("button[value=pay]").await;
    browser.sees("h1", "It is yours.").await;
    browser.begins(".what", "2 × Medium").await;
    browser.picture(&picture("shop-order")).await;
    browser.heard_nothing().await;
}

#[tokio::test]
async fn without_script_on_a_phone_the_limit_is_told_and_a_part_is_paid_for() {
    let demo = Demo::open().await;
    let browser = demo.visitor(&plain_phone()).await;
    is_sound(&browser, "the product").await;
    browser.picture(&picture("shop-phone-product")).await;
    puts_two_mediums_into_the_basket(&browser).await;
    browser.sees("h1", "Your basket").await;
    browser.presses("header a").await;
    puts_two_mediums_into_the_basket(&browser).await;
    browser.sees(".notice strong", "That is more than one person gets.").await;
    is_sound(&browser, "the limit").await;
    browser.picture(&picture("shop-phone-limit")).await;

    browser.presses("a.go").await;
    browser.presses("form[action='/basket/more'] button").await;
    browser.presses("summary").await;
    browser.presses("#kite-7-m option:nth-child(2)").await;
    browser.presses("#kite-7-l option:nth-child(2)").await;
    browser.presses("form[action='/basket/change'] button").await;
    browser.begins(".what", "1 × Medium, 1 × Large").await;
    is_sound(&browser, "the basket").await;
    browser.picture(&picture("shop-phone-basket")).await;
    browser.presses("form[action='/checkout'] button").await;
    is_sound(&browser, "the payment").await;
    browser.presses("button[value=pay_part]").await;
    browser.sees("h1", "It is yours.").await;
    browser.begins(".what", "1 × Large").await;
    is_sound(&browser, "the order").await;
    browser.picture(&picture("shop-phone-part")).await;
}

#[tokio::test]
async fn without_script_a_basket_tells_by_itself_that_its_time_is_over() {
    let demo = Demo::open().await;
    let browser = demo.visitor(&plain_phone()).await;
    puts_two_mediums_into_the_basket(&browser).await;
    browser.sees("h1", "Your basket").await;
    let first = seconds_shown(&browser).await;
    eventually("the seconds run", SOON, async || {
        let now = seconds_shown(&browser).await;
        if now < first { Ok(()) } else { Err(now) }
    })
    .await;
    browser.sees(".notice strong", "Your basket’s time ran out.").await;
    browser.sees("h1", "Nothing in your basket.").await;
    browser.picture(&picture("shop-phone-expired")).await;
}

#[tokio::test]
async fn a_declined_card_keeps_the_basket_and_a_late_payment_gets_the_kites() {
    let demo = Demo::open().await;
    let browser = demo.visitor(&Manner::default()).await;
    puts_two_mediums_into_the_basket(&browser).await;
    browser.presses("form[action='/checkout'] button").await;
    browser.presses("button[value=decline]").await;
    browser.sees("h1", "Not paid.").await;
    browser.presses("a.go").await;
    browser.presses("form[action='/checkout'] button").await;
    browser.presses("button[value=pay_late]").await;
    browser.begins("[role=status]", "Your bank takes its time.").await;
    browser.sees("h1", "It is yours.").await;
}

/// The number the countdown shows: drawn by the style sheet, so it stands in no text.
async fn seconds_shown(browser: &Browser) -> f64 {
    let bar = browser.devtools("Runtime.evaluate", serde_json::json!({ "expression": DRAWN })).await;
    bar["result"]["value"].as_f64().unwrap_or(f64::MAX)
}

/// Asked by the debugger, which a browser without script still answers.
const DRAWN: &str = "+getComputedStyle(document.querySelector('.count')).getPropertyValue('--n')";

/// A basket lives twelve seconds: the tests above wait that long and no longer.
const _: () = assert!(SOON.as_secs() > Duration::from_secs(12).as_secs());
