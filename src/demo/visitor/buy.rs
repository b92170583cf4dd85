//! Inside the shop: filling a basket and paying for it, or not, through the shop's own pages and forms.

use std::time::Duration;

use reqwest::StatusCode;
use url::Url;

use super::Visitor;
use crate::demo::{
    browser::{Page, Trouble},
    goods::{HOLD_SECONDS, PER_SIZE, SIZES},
    plan::{Manner, Purchase},
    provider::{Choice, PROVIDER},
    shop::{
        orders::ORDER_HEADER,
        pages::{REFUSAL_HEADER, SESSION_HEADER},
    },
    tally::Counts,
};

/// How often a buyer asks for kites that are all in baskets before giving up, and how long between.
const TRIES_MAX: u32 = 6;
const BEFORE_TRYING_AGAIN: Duration = Duration::from_secs(3);

/// Between two looks at a page that refreshes itself: as the pages say.
const REFRESH: Duration = Duration::from_secs(1);

/// Looks at an order that is being worked on: longer than a late payment and its callbacks take.
const LOOKS_MAX: u32 = 120;

/// How long one who forgets the basket stays away beyond its time.
const FORGETS_FOR: Duration = Duration::from_secs(HOLD_SECONDS + 1);

/// Things that people type where a number is wanted.
const NONSENSE: [&str; 6] = ["0", "-1", "two", "1.5", "99999999999", ""];

/// What came of a form that fills the basket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    Full,
    /// None is left, but baskets may give some back.
    AllHeld,
    SoldOut,
    /// More than one person gets.
    Limit,
    Invalid,
    /// The gate wants them in line again: the session is over.
    Outside,
}

impl Visitor {
    /// Buys, or does what such people do instead.
    pub(super) async fn buy(&mut self, purchase: Purchase) -> Result<(), Trouble> {
        let bought = self.try_to_buy(purchase).await;
        bought.map_err(|trouble| self.note(trouble))
    }

    async fn try_to_buy(&mut self, purchase: Purchase) -> Result<(), Trouble> {
        if purchase.manner == Manner::TypesNonsense {
            self.type_nonsense(purchase).await?;
        }
        if purchase.manner == Manner::WantsTooMuch {
            let too_much = (PER_SIZE + 1).to_string();
            self.fill(purchase, &too_much).await?;
        }
        if !self.fill_patiently(purchase).await? {
            return Ok(());
        }
        match purchase.manner {
            Manner::WalksAway => {
                self.count(|counts| counts.walked_away += 1);
                Ok(())
            }
            Manner::PutsBack => self.put_back(purchase).await,
            Manner::Forgets => self.forget_and_return(purchase).await,
            Manner::IsDeclined => {
                self.pay(purchase, Choice::Decline).await?;
                self.pay(purchase, Choice::Pay).await
            }
            Manner::ChangesMind => {
                self.change(purchase).await?;
                self.pay(purchase, Choice::Pay).await
            }
            Manner::WantsTooMuch => {
                // A second basket, from another tab.
                let as_much_again = PER_SIZE.to_string();
                self.fill(purchase, &as_much_again).await?;
                self.pay(purchase, Choice::Pay).await
            }
            Manner::PaysPart => self.pay(purchase, Choice::PayPart).await,
            Manner::PaysLate => self.pay(purchase, Choice::PayLate).await,
            Manner::PaysTooLate => self.pay(purchase, Choice::PayTooLate).await,
            Manner::Pays | Manner::PressesTwice | Manner::TypesNonsense => self.pay(purchase, Choice::Pay).await,
        }
    }

    /// Fills the basket, again and again while baskets may give something back. Whether it is full.
    async fn fill_patiently(&mut self, purchase: Purchase) -> Result<bool, Trouble> {
        let quantity = purchase.quantity.to_string();
        for _ in 0..TRIES_MAX {
            match self.fill(purchase, &quantity).await? {
                Filled::Full => return Ok(true),
                Filled::AllHeld => {}
                Filled::SoldOut => break,
                Filled::Limit | Filled::Invalid | Filled::Outside => return Ok(false),
            }
            if self.rest(BEFORE_TRYING_AGAIN + purchase.thinking).await {
                return Ok(false);
            }
        }
        self.count(|counts| counts.found_sold_out += 1);
        Ok(false)
    }

    /// Sends the product page's form once, or by two presses at once.
    async fn fill(&mut self, purchase: Purchase, quantity: &str) -> Result<Filled, Trouble> {
        let product = self.world.product.clone();
        let page = self.browser.open(&product).await?;
        if page.url.path() != product.path() {
            return Ok(Filled::Outside);
        }
        let Some(once) = page.field("once").await? else {
            // Without the form everything is sold out.
            self.count(|counts| counts.refused_sold_out += 1);
            return Ok(Filled::SoldOut);
        };
        let url = self.shop_url("/basket")?;
        let form = [("once", once.as_str()), ("size", SIZES[purchase.size].sku), ("quantity", quantity)];
        let page = if purchase.manner == Manner::PressesTwice {
            let mut second_press = self.browser.clone();
            let (first, second) = tokio::join!(self.browser.submit(&url, &form), second_press.submit(&url, &form));
            self.filled(&second?)?;
            first?
        } else {
            self.browser.submit(&url, &form).await?
        };
        self.filled(&page)
    }

    /// What a page says that answers a form which fills the basket.
    fn filled(&self, page: &Page) -> Result<Filled, Trouble> {
        let filled = match (page.header(REFUSAL_HEADER), page.status) {
            (None, StatusCode::OK) if page.url.path() == "/basket" => Filled::Full,
            (None, StatusCode::OK) => Filled::Outside,
            (Some("all_held"), _) => Filled::AllHeld,
            (Some("sold_out"), _) => Filled::SoldOut,
            (Some("limit"), _) => Filled::Limit,
            (Some("invalid"), _) => Filled::Invalid,
            (word, status) => return Err(Trouble(format!("{status} ({}) to a basket", word.unwrap_or("no word")))),
        };
        self.count(|counts| match filled {
            Filled::Full => counts.filled += 1,
            Filled::AllHeld => counts.refused_all_held += 1,
            Filled::SoldOut => counts.refused_sold_out += 1,
            Filled::Limit => counts.refused_limit += 1,
            Filled::Invalid => counts.refused_invalid += 1,
            Filled::Outside => {}
        });
        Ok(filled)
    }

    async fn type_nonsense(&mut self, purchase: Purchase) -> Result<(), Trouble> {
        for typed in NONSENSE {
            match self.fill(purchase, typed).await? {
                Filled::Full => self.world.tally.broken(format!("{typed:?} kites were put into a basket")),
                Filled::Outside => break,
                Filled::AllHeld | Filled::SoldOut | Filled::Limit | Filled::Invalid => {}
            }
        }
        Ok(())
    }

    async fn put_back(&mut self, purchase: Purchase) -> Result<(), Trouble> {
        if self.rest(purchase.thinking).await {
            return Ok(());
        }
        let url = self.shop_url("/basket/empty")?;
        let page = self.browser.submit(&url, &[]).await?;
        match page.status {
            StatusCode::OK => {
                self.count(|counts| counts.put_back += 1);
                Ok(())
            }
            status => Err(Trouble(format!("{status} to putting a basket back"))),
        }
    }

    /// Takes the next size instead. If none is left of it, the basket stays as it was.
    async fn change(&mut self, purchase: Purchase) -> Result<(), Trouble> {
        if self.rest(purchase.thinking).await {
            return Ok(());
        }
        let basket = self.shop_url("/basket")?;
        let Some(once) = self.browser.open(&basket).await?.field("once").await? else { return Ok(()) };
        let other = SIZES[(purchase.size + 1) % SIZES.len()].sku;
        let (url, quantity) = (self.shop_url("/basket/change")?, purchase.quantity.to_string());
        let page = self.browser.submit(&url, &[("once", &once), (other, &quantity)]).await?;
        if self.filled(&page)? == Filled::Full {
            self.count(|counts| counts.changed += 1);
        }
        Ok(())
    }

    /// Comes back to a basket whose time is over, reads so, and tries again.
    async fn forget_and_return(&mut self, purchase: Purchase) -> Result<(), Trouble> {
        if self.rest(FORGETS_FOR).await {
            return Ok(());
        }
        let basket = self.shop_url("/basket")?;
        let page = self.browser.open(&basket).await?;
        match page.header(REFUSAL_HEADER) {
            Some("expired") => self.count(|counts| counts.found_expired += 1),
            _ if page.header(SESSION_HEADER).is_none() => return Ok(()),
            word => return Err(Trouble(format!("{} ({word:?}) to a basket whose time is over", page.status))),
        }
        if self.fill_patiently(purchase).await? {
            self.pay(purchase, Choice::Pay).await?;
        }
        Ok(())
    }

    /// Goes to the till and does this there; waits for the answer and keeps it.
    async fn pay(&mut self, purchase: Purchase, choice: Choice) -> Result<(), Trouble> {
        if self.rest(purchase.thinking).await {
            return Ok(());
        }
        let url = self.shop_url("/checkout")?;
        let page = self.browser.submit(&url, &[]).await?;
        if !page.url.path().starts_with(PROVIDER) {
            return match page.header(REFUSAL_HEADER) {
                Some("expired" | "released") => {
                    self.count(|counts| counts.found_expired += 1);
                    Ok(())
                }
                _ if page.header(SESSION_HEADER).is_none() => Ok(()),
                word => Err(Trouble(format!("{} ({word:?}) on the way to pay", page.status))),
            };
        }
        if self.rest(purchase.thinking).await {
            return Ok(());
        }
        let chosen = serde_json::to_value(choice).ok();
        let chosen = chosen.as_ref().and_then(|word| word.as_str()).unwrap_or_default();
        let payment = page.url.clone();
        let page = self.browser.submit(&payment, &[("choice", chosen)]).await?;
        self.await_answer(page, choice).await
    }

    /// Looks at the payment and then the order as the pages refresh themselves, until they say how it ended.
    async fn await_answer(&mut self, mut page: Page, choice: Choice) -> Result<(), Trouble> {
        for _ in 0..LOOKS_MAX {
            if page.status != StatusCode::OK {
                return Err(Trouble(format!("{} at {}", page.status, first_segment(&page.url))));
            }
            let said = page.header(ORDER_HEADER).map(str::to_owned);
            if let Some((word, units)) = said.as_deref().and_then(|said| said.split_once(' '))
                && matches!(word, "confirmed" | "too-late" | "declined")
            {
                let units = units.parse().unwrap_or(0);
                let order = page.url.path().rsplit('/').next().unwrap_or_default().to_owned();
                self.count(|counts| counts.answer(word, units, choice));
                if word != "declined" {
                    self.world.tally.answered(order, units);
                }
                return Ok(());
            }
            if self.rest(REFRESH).await {
                return Ok(());
            }
            let url = page.url.clone();
            page = self.browser.open(&url).await?;
        }
        Err(Trouble("an order that was never answered".to_owned()))
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.world.tally.count(change);
    }

    fn shop_url(&self, path: &str) -> Result<Url, Trouble> {
        self.world.product.join(path).map_err(|error| Trouble(error.to_string()))
    }
}

/// The first part of a path: an order's whole address is its secret, and a thousand orders are one kind of trouble.
fn first_segment(url: &Url) -> &str {
    url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default()
}
