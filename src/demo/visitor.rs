//! One visitor of the crowd, from the door of the shop to wherever the day takes them: what a browser with the waiting
//! page in it would send, and nothing else.

mod buy;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use url::Url;

use super::{
    browser::{Browser, Page, Trouble, json},
    checks::Entry,
    plan::{Errand, Farewell, Plan, Temper},
    shop::{pages::SESSION_HEADER, place_of},
    tally::{Call, Tally},
};

/// The path of the waiting page in front of the shop.
const WAITING_PAGE: &str = "/w/main";

/// After a claim that came too early, as the answer's Retry-After would have it.
const PAUSE_AFTER_TOO_EARLY: Duration = Duration::from_secs(1);

/// Failures in a row after which a visitor gives up, as people do; the page itself never would.
const SETBACKS_MAX: u32 = 5;

/// What all visitors share.
pub struct World {
    pub client: Client,
    /// The product's page.
    pub product: Url,
    /// The room's calls, with a slash at the end.
    pub room: Url,
    pub tally: Tally,
    /// Turns true when the demo ends.
    pub stop: watch::Receiver<bool>,
}

/// What the status says, as far as the page's script heeds it.
#[derive(Deserialize)]
struct Status {
    state: String,
    head: u64,
    claim_window_seconds: f64,
    #[serde(default)]
    opens_at: Option<Timestamp>,
    #[serde(default)]
    stock: Option<String>,
    #[serde(default)]
    pace_per_minute: Pace,
}

#[derive(Default, Deserialize)]
struct Pace {
    likely: f64,
}

#[derive(Deserialize)]
struct Joined {
    number: u64,
    called: bool,
}

#[derive(Deserialize)]
struct Claimed {
    pass: String,
    redirect_to: String,
}

/// The one claim of a pass that the crowd reads.
#[derive(Deserialize)]
struct PassClaims {
    sub: String,
}

/// How a wait ended.
enum Turn {
    /// The way into the shop, and the session it belongs to.
    Mine {
        redirect_to: Url,
        session: String,
    },
    /// Not yet: the status ran ahead of what the store said.
    NotYet,
    Missed,
}

/// What to do next while waiting.
enum Step {
    Rest(Duration),
    Enter { redirect_to: Url, session: String },
    GoHome,
}

/// A visitor at work.
struct Visitor {
    world: Arc<World>,
    browser: Browser,
    plan: Plan,
}

/// Lives one visitor's day.
pub async fn visit(world: Arc<World>, plan: Plan) {
    world.tally.count(|counts| counts.arrived += 1);
    let browser = Browser::new(world.client.clone());
    let mut visitor = Visitor { world, browser, plan };
    let day = visitor.day().await;
    // What broke off because the demo ended broke off because the demo ended.
    if day.is_err() && !*visitor.world.stop.borrow() {
        visitor.world.tally.count(|counts| counts.gave_up += 1);
    }
}

impl Visitor {
    async fn day(&mut self) -> Result<(), Trouble> {
        let product = self.world.product.clone();
        let (door, asked_ms) = self.come_to(&product).await?;
        if door.status == StatusCode::OK && door.url.path() == product.path() {
            return self.admitted_at_the_door(&door, asked_ms).await;
        }
        if door.url.path() != WAITING_PAGE {
            return Err(self.note(Trouble(format!("{} at {} instead of the line", door.status, door.url.path()))));
        }
        let Some(joined) = self.join().await? else { return Ok(()) };
        if self.plan.temper == Temper::Ghost {
            self.world.tally.count(|counts| counts.vanished += 1);
            return Ok(());
        }
        self.wait(&joined).await
    }

    /// Opens the shop, again if it does not load; where that ended, and when the last try began.
    async fn come_to(&mut self, product: &Url) -> Result<(Page, u64), Trouble> {
        let mut setbacks = 0;
        loop {
            let asked_ms = self.world.tally.now_ms();
            match self.browser.open(product).await {
                Ok(page) => return Ok((page, asked_ms)),
                Err(trouble) => self.set_back(&mut setbacks, trouble).await?,
            }
        }
    }

    /// Nobody stood in line, and the gate let us through without the page. The session's name tells the place.
    async fn admitted_at_the_door(&mut self, page: &Page, asked_ms: u64) -> Result<(), Trouble> {
        let session = shown_session(page).ok_or_else(|| Trouble("the shop let us in without a session".to_owned()))?;
        let position = place_of(&session).ok_or_else(|| Trouble(format!("session {session} names no place")))?;
        self.world.tally.joined(position);
        self.world.tally.session(position, session);
        self.world.tally.entered(Entry { asked_ms, answered_ms: self.world.tally.now_ms() });
        self.shop().await
    }

    /// Joins the line, again if no answer came; none where it is closed.
    async fn join(&mut self) -> Result<Option<Joined>, Trouble> {
        let mut setbacks = 0;
        loop {
            match self.join_once().await {
                Ok(joined) => return Ok(joined),
                Err(trouble) => self.set_back(&mut setbacks, trouble).await?,
            }
        }
    }

    async fn join_once(&mut self) -> Result<Option<Joined>, Trouble> {
        let url = self.call_url("tickets")?;
        let asked = Instant::now();
        let answer = self.browser.call(Method::POST, &url, Some(&json!({}))).await?;
        match answer.status() {
            StatusCode::CREATED => {
                self.world.tally.timed(Call::Join, asked.elapsed());
                let joined: Joined = json(answer).await?;
                self.world.tally.joined(joined.number);
                Ok(Some(joined))
            }
            // Somebody closed the room by hand: that is no trouble of ours.
            StatusCode::FORBIDDEN => Ok(None),
            status => Err(Trouble(format!("{status} to a join"))),
        }
    }

    /// Waits as the page does, and enters.
    async fn wait(&mut self, joined: &Joined) -> Result<(), Trouble> {
        let since = Instant::now();
        let mut head = if joined.called { joined.number } else { 0 };
        let mut setbacks = 0;
        loop {
            match self.step(joined.number, &mut head, since).await {
                Ok(Step::Enter { redirect_to, session }) => return self.enter(&redirect_to, &session).await,
                Ok(Step::GoHome) => return Ok(()),
                Ok(Step::Rest(time)) => {
                    setbacks = 0;
                    if self.rest(time).await {
                        return Ok(());
                    }
                }
                Err(trouble) => self.set_back(&mut setbacks, trouble).await?,
            }
        }
    }

    /// Looks once, and claims if it is time.
    async fn step(&mut self, number: u64, head: &mut u64, since: Instant) -> Result<Step, Trouble> {
        let mut rest = PAUSE_AFTER_TOO_EARLY;
        if *head < number {
            let status = self.look(*head).await?;
            (*head, rest) = (status.head, status.next_poll(number));
            if *head < number && status.stock.as_deref() == Some("sold_out") {
                self.world.tally.count(|counts| counts.told_sold_out += 1);
                self.leave().await?;
                return Ok(Step::GoHome);
            }
        }
        if *head >= number {
            match self.claim(number).await? {
                Turn::Mine { redirect_to, session } => return Ok(Step::Enter { redirect_to, session }),
                Turn::NotYet => *head = number - 1,
                Turn::Missed => {
                    self.world.tally.count(|counts| counts.lapsed += 1);
                    return Ok(Step::GoHome);
                }
            }
        }
        match self.plan.temper {
            Temper::Impatient { patience, farewell } if since.elapsed() >= patience => {
                self.give_up(farewell).await?;
                Ok(Step::GoHome)
            }
            _ => Ok(Step::Rest(rest)),
        }
    }

    /// Asks for the shared status. The head shown never falls, as on the page.
    async fn look(&mut self, head_before: u64) -> Result<Status, Trouble> {
        let url = self.call_url("status")?;
        let asked = Instant::now();
        let answer = self.browser.call(Method::GET, &url, None).await?;
        if answer.status() != StatusCode::OK {
            return Err(Trouble(format!("{} to a look at the status", answer.status())));
        }
        let status: Status = json(answer).await?;
        self.world.tally.timed(Call::Status, asked.elapsed());
        Ok(Status { head: status.head.max(head_before), ..status })
    }

    /// Asks for the pass: from both tabs at once where there are two, which must get the same session.
    async fn claim(&mut self, position: u64) -> Result<Turn, Trouble> {
        let asked_ms = self.world.tally.now_ms();
        let turn = if self.plan.temper == Temper::TwoTabs {
            let mut second_tab = self.browser.clone();
            let world = Arc::clone(&self.world);
            let (first, second) = tokio::join!(
                claim_once(&world, &mut self.browser, position),
                claim_once(&world, &mut second_tab, position)
            );
            second?;
            first?
        } else {
            claim_once(&self.world, &mut self.browser, position).await?
        };
        if let Turn::Mine { .. } = turn {
            self.world.tally.entered(Entry { asked_ms, answered_ms: self.world.tally.now_ms() });
        }
        Ok(turn)
    }

    async fn enter(&mut self, redirect_to: &Url, session: &str) -> Result<(), Trouble> {
        let (page, _) = self.come_to(redirect_to).await?;
        if page.status != StatusCode::OK || page.url.path() != self.world.product.path() {
            return Err(self.note(Trouble(format!("{} at {} with a pass", page.status, page.url.path()))));
        }
        if page.url.query().is_some_and(|query| query.contains("dropgate=")) {
            self.world.tally.broken("the entry pass stayed in the shop's address".to_owned());
        }
        match shown_session(&page) {
            Some(shown) if shown == session => {}
            shown => self.world.tally.broken(format!("session {session} was let in as {shown:?}")),
        }
        self.shop().await
    }

    /// Looks around, and buys or goes.
    async fn shop(&mut self) -> Result<(), Trouble> {
        self.world.tally.count(|counts| counts.shopping += 1);
        let done = self.browse_and_buy().await;
        self.world.tally.count(|counts| counts.shopping -= 1);
        done
    }

    async fn browse_and_buy(&mut self) -> Result<(), Trouble> {
        if self.rest(self.plan.browsing).await {
            return Ok(());
        }
        match self.plan.errand {
            Errand::WandersOff => {
                self.world.tally.count(|counts| counts.wandered_off += 1);
                Ok(())
            }
            Errand::Buys(purchase) => self.buy(purchase).await,
        }
    }

    async fn give_up(&mut self, farewell: Farewell) -> Result<(), Trouble> {
        if farewell == Farewell::ClosesTab {
            self.world.tally.count(|counts| counts.vanished += 1);
            return Ok(());
        }
        self.leave().await?;
        self.world.tally.count(|counts| counts.left += 1);
        Ok(())
    }

    /// Gives the place back.
    async fn leave(&mut self) -> Result<(), Trouble> {
        let url = self.call_url("leave")?;
        let answer = self.browser.call(Method::POST, &url, Some(&json!({}))).await?;
        if answer.status().is_success() { Ok(()) } else { Err(Trouble(format!("{} to a farewell", answer.status()))) }
    }

    /// Notes a failure and waits before the next try, by the page's rule: 2, 4, 8 … seconds, a third more or less.
    ///
    /// # Errors
    /// The failure, if it is one too many or the demo has ended.
    async fn set_back(&self, setbacks: &mut u32, trouble: Trouble) -> Result<(), Trouble> {
        let trouble = self.note(trouble);
        *setbacks += 1;
        let pause = f64::from(1 << (*setbacks).min(SETBACKS_MAX)) * (0.7 + 0.6 * rand::random::<f64>());
        if *setbacks >= SETBACKS_MAX || self.rest(Duration::from_secs_f64(pause)).await { Err(trouble) } else { Ok(()) }
    }

    fn note(&self, trouble: Trouble) -> Trouble {
        self.world.tally.trouble(&trouble);
        trouble
    }

    /// Sleeps; whether the demo ended meanwhile.
    async fn rest(&self, time: Duration) -> bool {
        let mut stop = self.world.stop.clone();
        tokio::select! {
            () = sleep(time) => false,
            _ = stop.wait_for(|stop| *stop) => true,
        }
    }

    fn call_url(&self, call: &str) -> Result<Url, Trouble> {
        call_url(&self.world, call)
    }
}

async fn claim_once(world: &World, browser: &mut Browser, position: u64) -> Result<Turn, Trouble> {
    let url = call_url(world, "passes")?;
    let body = json!({ "return_url": world.product.as_str() });
    let answer = browser.call(Method::POST, &url, Some(&body)).await?;
    match answer.status() {
        StatusCode::OK => {
            let claimed: Claimed = json(answer).await?;
            let session = session_of(&claimed.pass)?;
            world.tally.session(position, session.clone());
            let redirect_to = Url::parse(&claimed.redirect_to).map_err(|error| Trouble(error.to_string()))?;
            Ok(Turn::Mine { redirect_to, session })
        }
        StatusCode::ACCEPTED => Ok(Turn::NotYet),
        StatusCode::GONE => Ok(Turn::Missed),
        status => Err(Trouble(format!("{status} to a claim"))),
    }
}

fn call_url(world: &World, call: &str) -> Result<Url, Trouble> {
    world.room.join(call).map_err(|error| Trouble(error.to_string()))
}

/// The session a pass names. Not verified: that is the shop's business, and this is only its visitor.
fn session_of(pass: &str) -> Result<String, Trouble> {
    let claims = pass.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|json| serde_json::from_slice::<PassClaims>(&json).ok());
    claims.map(|claims| claims.sub).ok_or_else(|| Trouble("a pass that can't be read".to_owned()))
}

fn shown_session(page: &Page) -> Option<String> {
    page.header(SESSION_HEADER).map(str::to_owned)
}

impl Status {
    /// The page's rule: a tenth of the likely wait, 2 to 30 s, a quarter of the claim window at most, a fifth more or
    /// less so that nobody marches in step.
    fn next_poll(&self, position: u64) -> Duration {
        let ahead = position.saturating_sub(self.head + 1);
        #[expect(clippy::cast_precision_loss, reason = "a wait to the second needs no more than 53 bits")]
        let wait = match (self.state.as_str(), self.opens_at) {
            ("scheduled", Some(opens_at)) => opens_at.duration_since(Timestamp::now()).as_secs_f64(),
            ("running", _) => (ahead + 1) as f64 * 60.0 / self.pace_per_minute.likely.max(1.0),
            _ => 300.0,
        };
        let step = (wait / 10.0).clamp(2.0, 30.0) * (0.8 + 0.4 * rand::random::<f64>());
        Duration::from_secs_f64(step.min(self.claim_window_seconds / 4.0).max(0.1))
    }
}
