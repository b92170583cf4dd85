//! What every test here begins with: a room in front of a shop, and a visitor's browser.

use std::path::{Path, PathBuf};

use fantoccini::{Locator, elements::Element};
use serde_json::{Value, json};

use crate::support::{
    SOON,
    browser::{Browser, Manner},
    eventually,
    server::{Home, Server},
    shop::Shop,
};

/// The id of the room in every scene.
pub const ROOM: &str = "drop";

/// A room that calls nobody for as long as a test lasts, once its one permit is spent.
pub fn crawling() -> Value {
    json!({ "rate_per_minute": 1, "burst": 1 })
}

/// A server with one room in front of a shop.
pub struct Scene {
    pub home: Home,
    pub server: Server,
    pub shop: Shop,
}

impl Scene {
    /// A room with these settings on top of the defaults. The limit of joins an address is off: here all is one.
    pub async fn with(settings: Value) -> Self {
        let home = Home::on_file();
        let server = home.start();
        let shop = Shop::open();
        let mut settings = settings;
        settings["shop_url"] = json!(shop.url());
        settings["join_per_address"] = json!(0);
        settings["name"] = json!("The autumn drop");
        server.put_room(ROOM, settings).await;
        Self { home, server, shop }
    }

    /// A room that hardly moves, with `ahead` people in line before whoever comes next.
    pub async fn in_line(ahead: u64) -> Self {
        let scene = Self::with(crawling()).await;
        // The first takes the only permit and never claims.
        scene.people_join(ahead + 1).await;
        scene
    }

    /// That many people with no browser join.
    pub async fn people_join(&self, count: u64) {
        for _ in 0..count {
            let (status, answer) = self.server.visitor().post_json(&tickets(), Value::Null).await;
            assert_eq!(status, 201, "{answer}");
        }
    }

    /// The line moves as fast as a line can, and whoever stood in it has been called.
    pub async fn let_everyone_through(&self) {
        self.server.patch_room(ROOM, json!({ "rate_per_minute": 600_000, "burst": 10_000 })).await;
        eventually("everyone is called", SOON, async || {
            let status = self.status().await;
            if status["head"] == status["tail"] { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// The address of the waiting page.
    pub fn page(&self) -> String {
        self.server.url(&format!("/w/{ROOM}"))
    }

    /// The room's shared status.
    pub async fn status(&self) -> Value {
        let (status, body) = self.server.visitor().get_json(&format!("/v1/rooms/{ROOM}/status")).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The instance's figures, as Prometheus reads them.
    pub async fn figures(&self) -> String {
        let (status, figures) = self.server.admin(reqwest::Method::GET, "/metrics", None).await;
        assert_eq!(status, 200, "{figures}");
        figures.as_str().unwrap().to_owned()
    }

    /// A browser that has just opened the waiting page.
    pub async fn visitor(&self, manner: &Manner) -> Browser {
        let browser = Browser::open(manner).await;
        browser.page.goto(&self.page()).await.unwrap();
        browser
    }
}

/// What the page says in English for a key of `templates/texts`.
pub fn says(key: &str) -> String {
    let texts: Value = serde_json::from_str(include_str!("../../templates/texts/en.json")).unwrap();
    let text = texts["page"].get(key).or_else(|| texts["server"].get(key));
    text.and_then(Value::as_str).unwrap_or_else(|| panic!("no text {key}")).to_owned()
}

/// Where to join.
pub fn tickets() -> String {
    format!("/v1/rooms/{ROOM}/tickets")
}

/// Where a picture goes.
pub fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures").join(format!("{name}.png"))
}

/// Looking at a page, with patience.
pub trait Eyes {
    /// Waits until the element of that selector is to be seen and reads `text`.
    async fn sees(&self, css: &str, text: &str);
    /// Waits until the element of that selector is to be seen and its text begins so.
    async fn begins(&self, css: &str, text: &str);
    /// Waits until the heading is that of a face of the page: `line`, `pause`, `turn` …
    async fn shows(&self, face: &str);
    /// Tells the page what a browser tells one that comes to the front again: it asks at once.
    async fn wakes(&self);
    /// Waits until the element of that selector is to be seen; its text.
    async fn reads(&self, css: &str) -> String;
    /// Waits until the element of that selector is to be seen, and presses it.
    async fn presses(&self, css: &str);
    /// Whether an element of that selector is to be seen now.
    async fn notices(&self, css: &str) -> bool;
    /// Waits until the shop's own page is shown; its address.
    async fn is_in_the_shop(&self, shop: &Shop) -> String;
    /// The visitor's number as the page shows it.
    async fn number(&self) -> String;
    /// That nothing was said on the console: no error, no policy violated. A visitor without a place asks for it in
    /// vain once, which every browser notes.
    async fn heard_nothing(&self);
}

impl Eyes for Browser {
    async fn sees(&self, css: &str, text: &str) {
        let hoped = format!("`{css}` reads {text:?}");
        eventually(&hoped, SOON, async || {
            let seen = visible_text(self, css).await?;
            if seen == text { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    async fn begins(&self, css: &str, text: &str) {
        eventually(&format!("`{css}` begins with {text:?}"), SOON, async || {
            let seen = visible_text(self, css).await?;
            if seen.starts_with(text) { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    async fn shows(&self, face: &str) {
        self.sees("h1", &says(&format!("h_{face}"))).await;
    }

    async fn wakes(&self) {
        self.page.execute("dispatchEvent(new Event('online'))", Vec::new()).await.unwrap();
    }

    async fn reads(&self, css: &str) -> String {
        eventually(&format!("`{css}` is to be seen"), SOON, async || {
            let seen = visible_text(self, css).await?;
            if seen.is_empty() { Err(seen) } else { Ok(seen) }
        })
        .await
    }

    async fn presses(&self, css: &str) {
        eventually(&format!("`{css}` can be pressed"), SOON, async || {
            let element = visible(self, css).await?;
            element.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    async fn notices(&self, css: &str) -> bool {
        visible(self, css).await.is_ok()
    }

    async fn is_in_the_shop(&self, shop: &Shop) -> String {
        self.sees("#shop", "Welcome in").await;
        let url = self.page.current_url().await.unwrap().to_string();
        assert!(url.starts_with(&shop.url()), "{url}");
        url
    }

    async fn number(&self) -> String {
        self.reads("#facts > div:first-child > dd").await
    }

    async fn heard_nothing(&self) {
        let mut heard = self.console().await;
        heard.retain(|line| !(line.contains("/place - Failed to load resource") && line.contains("status of 401")));
        // Advice, like a second field for a name that no key has, is no fault.
        heard.retain(|line| !line.starts_with("\"DEBUG\""));
        assert_eq!(heard, Vec::<String>::new());
    }
}

async fn visible(browser: &Browser, css: &str) -> Result<Element, String> {
    let element = browser.page.find(Locator::Css(css)).await.map_err(|error| error.to_string())?;
    match element.is_displayed().await {
        Ok(true) => Ok(element),
        Ok(false) => Err(format!("`{css}` is hidden")),
        Err(error) => Err(error.to_string()),
    }
}

async fn visible_text(browser: &Browser, css: &str) -> Result<String, String> {
    visible(browser, css).await?.text().await.map_err(|error| error.to_string())
}
