//! The gate behind real gateways: nginx and Caddy from the distribution, with the configuration that shops copy from
//! `docs/gateways`, in front of a small shop.

#[path = "../support/mod.rs"]
mod support;

mod gateways;
mod shop;

use reqwest::{Method, Response};
use rstest::rstest;
use serde_json::{Value, json};

use gateways::{Gateway, Kind, WithoutDropgate, own_address};
use shop::Shop;
use support::{
    client::{Browserlike, header, plain},
    server::{Home, Server},
};

/// A shop behind a gateway that asks Dropgate.
struct Site {
    server: Server,
    shop: Shop,
    gateway: Gateway,
    base: String,
    _home: Home,
}

impl Site {
    async fn new(kind: Kind, settings: Value) -> Self {
        Self::open(kind, settings, WithoutDropgate::Closed).await
    }

    async fn open(kind: Kind, mut settings: Value, without: WithoutDropgate) -> Self {
        let home = Home::in_memory().with_config("[server]\ntrusted_proxies = ['127.0.0.1']");
        let server = home.start();
        let shop = Shop::open(&server.url("/w/main"));
        let address = own_address();
        let gateway = Gateway::start(kind, &address, server.address(), shop.port, without);
        let base = format!("http://{address}");
        settings["shop_url"] = json!(format!("{base}/"));
        server.put_room("main", settings).await;
        Self { server, shop, gateway, base, _home: home }
    }

    /// A new visitor of the shop.
    fn visitor(&self) -> Browserlike {
        Browserlike::new(&self.base)
    }

    /// Where a visitor who wanted `path` of the shop waits.
    fn waiting(&self, path: &str) -> String {
        let url = format!("{}{path}", self.base);
        let escaped: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
        self.server.url(&format!("/w/main?t={escaped}"))
    }

    async fn set_mode(&self, mode: &str) {
        self.server.patch_room("main", json!({ "mode": mode })).await;
    }

    /// Waits in line and claims, in a room that holds its line before and after: the path of the way back to `path`.
    async fn way_back(&self, path: &str) -> String {
        let visitor = self.server.visitor();
        let (status, _) = visitor.post_json("/v1/rooms/main/tickets", json!({})).await;
        assert_eq!(status, 201);
        self.set_mode("queue").await;
        let return_url = json!({ "return_url": format!("{}{path}", self.base) });
        let claimed = support::eventually("the visitor is called", support::SOON, || async {
            match visitor.post_json("/v1/rooms/main/passes", return_url.clone()).await {
                (200, body) => Ok(body),
                other => Err(other),
            }
        })
        .await;
        self.set_mode("hold").await;
        let to = claimed["redirect_to"].as_str().unwrap();
        to.strip_prefix(&self.base).unwrap_or_else(|| panic!("{to} is not on {}", self.base)).to_owned()
    }

    /// A visitor who is inside the shop.
    async fn inside(&self) -> Browserlike {
        let visitor = self.visitor();
        let exchanged = visitor.navigate(&self.way_back("/in").await).await;
        assert_eq!(location(&exchanged), format!("{}/in", self.base));
        visitor
    }
}

fn location(response: &Response) -> &str {
    header(response, "location")
}

/// Follows redirects as a browser would that keeps no cookies: where it ends, and how many there were.
async fn follow_without_cookies(url: &str) -> (String, usize) {
    let client = plain();
    let mut url = url.to_owned();
    for hops in 0..10 {
        let request = client.get(&url).header("Accept", "text/html").header("Sec-Fetch-Mode", "navigate");
        let response = request.send().await.unwrap();
        if !response.status().is_redirection() {
            return (url, hops);
        }
        url = location(&response).to_owned();
    }
    panic!("redirected for ever, last to {url}");
}

#[rstest]
#[case(Kind::Nginx)]
#[case(Kind::Caddy)]
#[tokio::test]
async fn a_visitor_waits_enters_and_a_posted_link_admits_nobody_else(#[case] kind: Kind) {
    let site = Site::new(kind, json!({"mode": "hold"})).await;
    let visitor = site.visitor();
    let sent = visitor.navigate("/shoes?size=42&x=%20").await;
    assert_eq!((sent.status().as_u16(), location(&sent)), (302, site.waiting("/shoes?size=42&x=%20").as_str()));
    assert_eq!(header(&sent, "cache-control"), "no-store");
    assert_eq!(site.shop.seen().len(), 0);

    let way_back = site.way_back("/shoes?size=42&x=%20").await;
    let exchanged = visitor.navigate(&way_back).await;
    assert_eq!(exchanged.status(), 302);
    assert_eq!(location(&exchanged), format!("{}/shoes?size=42&x=%20", site.base));
    let inside = visitor.navigate("/shoes?size=42&x=%20").await;
    assert_eq!((inside.status().as_u16(), inside.text().await.unwrap().as_str()), (200, "the shop"));
    let seen = site.shop.last();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/shoes?size=42&x=%20"));
    assert_eq!(seen.sessions.len(), 1);
    assert_eq!(seen.sessions[0].split('-').nth(1), Some("1"), "{seen:?}");

    let reader_of_the_post = site.visitor();
    let sent = reader_of_the_post.navigate(&way_back).await;
    assert_eq!((sent.status().as_u16(), location(&sent)), (302, site.waiting("/shoes?size=42&x=%20").as_str()));
    assert!(reader_of_the_post.cookie_names().is_empty());
    assert_eq!(visitor.navigate(&way_back).await.status(), 200, "the back button of the one who is inside");
}

#[rstest]
#[case(Kind::Nginx)]
#[case(Kind::Caddy)]
#[tokio::test]
async fn an_idle_room_is_entered_without_the_waiting_page(#[case] kind: Kind) {
    let site = Site::new(kind, json!({})).await;
    let visitor = site.visitor();
    let hop = visitor.navigate("/a?b=1").await;
    assert_eq!(location(&hop), format!("{}/a?b=1&dropgate=check", site.base));
    let back = visitor.navigate("/a?b=1&dropgate=check").await;
    assert_eq!(location(&back), format!("{}/a?b=1", site.base));
    assert_eq!(visitor.navigate("/a?b=1").await.status(), 200);
    assert_eq!(site.shop.seen().len(), 1);
}

#[rstest]
#[case(Kind::Nginx)]
#[case(Kind::Caddy)]
#[tokio::test]
async fn pictures_and_calls_are_refused_or_let_in_but_never_redirected(#[case] kind: Kind) {
    let site = Site::new(kind, json!({"mode": "hold"})).await;
    let outside = site.visitor();
    for mode in ["no-cors", "cors", "same-origin"] {
        let request = outside.request(Method::GET, "/app.js").header("Sec-Fetch-Mode", mode).header("Accept", "*/*");
        let answer = outside.send(request).await;
        assert_eq!(answer.status(), 429, "{mode}");
        assert_eq!(location(&answer), site.server.url("/w/main"));
        assert_eq!(header(&answer, "retry-after"), "5");
        assert_eq!(header(&answer, "content-type"), "application/problem+json");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["location"], site.server.url("/w/main"));
    }
    assert_eq!(site.shop.seen().len(), 0);
    let inside = site.inside().await;
    for mode in ["no-cors", "cors", "navigate"] {
        let request = inside.request(Method::GET, "/app.js").header("Sec-Fetch-Mode", mode);
        assert_eq!(inside.send(request).await.status(), 200, "{mode}");
    }
}

#[rstest]
#[case(Kind::Nginx)]
#[case(Kind::Caddy)]
#[tokio::test]
async fn what_a_visitor_writes_into_headers_is_no_evidence(#[case] kind: Kind) {
    let site = Site::new(kind, json!({"mode": "hold", "allowed_hosts": ["127.0.0.1"]})).await;
    let inside = site.inside().await;
    let own = site.server.url("/w/main");
    let elsewhere = "https://evil.example/";
    let spoofs = [
        ("X-Original-URL", own.as_str()),
        ("X-Original-URL", elsewhere),
        ("X-Original-Method", "GET"),
        ("X-Forwarded-Uri", "/w/main"),
        ("X-Forwarded-Host", site.server.address()),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Dropgate-Session", "open"),
        ("X-Dropgate-Reason", "exchanged"),
    ];
    let shop_saw = site.shop.seen().len();
    for (name, value) in spoofs {
        let outside = site.visitor();
        let page = outside.request(Method::GET, "/a").header("Accept", "text/html").header(name, value);
        let sent = outside.send(page).await;
        assert_eq!((sent.status().as_u16(), location(&sent)), (302, site.waiting("/a").as_str()), "{name}: {value}");
        let form = outside.request(Method::POST, "/a").header("Accept", "text/html").header(name, value);
        assert_eq!(outside.send(form).await.status(), 429, "{name}: {value}");
    }
    assert_eq!(site.shop.seen().len(), shop_saw);
    let page = inside.request(Method::GET, "/a").header("X-Dropgate-Session", "1-999-0000000000000000");
    assert_eq!(inside.send(page).await.status(), 200);
    let sessions = site.shop.last().sessions;
    assert_eq!((sessions.len(), sessions[0].split('-').nth(1)), (1, Some("1")), "{sessions:?}");
}

#[rstest]
#[case(Kind::Nginx)]
#[case(Kind::Caddy)]
#[tokio::test]
async fn a_form_is_sent_or_said_not_to_be_but_never_lost(#[case] kind: Kind) {
    let site = Site::new(kind, json!({"mode": "hold"})).await;
    let form = |visitor: &Browserlike| {
        visitor
            .request(Method::POST, "/pay")
            .header("Accept", "text/html")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Referer", format!("{}/cart?step=2", site.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("card=4242&name=M%C3%BCller")
    };
    let outside = site.visitor();
    let refused = outside.send(form(&outside)).await;
    assert_eq!((refused.status().as_u16(), location(&refused)), (429, site.waiting("/cart?step=2").as_str()));
    assert!(header(&refused, "content-type").starts_with("text/html"), "{:?}", refused.headers());
    let page = refused.text().await.unwrap();
    let link = site.waiting("/cart?step=2");
    assert!(page.contains(&format!("href=\"{link}\" target=\"_blank\"")), "{page}");
    assert_eq!(site.shop.seen().len(), 0);
    let inside = site.inside().await;
    assert_eq!(inside.send(form(&inside)).await.status(), 200);
    let seen = site.shop.last();
    assert_eq!((seen.method.as_str(), seen.body.as_str()), ("POST", "card=4242&name=M%C3%BCller"));
}

#[rstest]
#[case(Kind::Nginx)]
#[case(Kind::Caddy)]
#[tokio::test]
async fn nobody_is_sent_in_circles(#[case] kind: Kind) {
    let site = Site::new(kind, json!({"mode": "hold"})).await;
    let inside = site.inside().await;
    let sent_back = inside.navigate("/back").await;
    assert_eq!((sent_back.status().as_u16(), location(&sent_back)), (302, site.server.url("/w/main").as_str()));
    let (page, hops) = follow_without_cookies(location(&sent_back)).await;
    assert_eq!(
        (page, hops),
        (site.server.url("/w/main"), 0),
        "the waiting room's page sends nobody anywhere by itself"
    );

    let way_back = format!("{}{}", site.base, site.way_back("/a").await);
    assert_eq!(follow_without_cookies(&way_back).await, (site.waiting("/a"), 2), "exchanged, then no cookie");
    site.set_mode("queue").await;
    let page = format!("{}/a", site.base);
    assert_eq!(follow_without_cookies(&page).await, (site.waiting("/a"), 2), "admitted, then no cookie");
}

#[rstest]
#[case(Kind::Nginx, 503)]
#[case(Kind::Caddy, 502)]
#[tokio::test]
async fn without_dropgate_the_shop_is_closed(#[case] kind: Kind, #[case] status: u16) {
    let site = Site::new(kind, json!({"mode": "hold"})).await;
    let inside = site.inside().await;
    let outside = site.visitor();
    let Site { server, shop, gateway: _gateway, .. } = site;
    assert_eq!(server.stop(), 0);
    let shop_saw = shop.seen().len();
    for visitor in [inside, outside] {
        assert_eq!(visitor.navigate("/a").await.status(), status);
        assert_eq!(visitor.post("/pay", json!({})).await.status(), status);
    }
    assert_eq!(shop.seen().len(), shop_saw);
}

#[rstest]
#[case(Kind::Nginx)]
#[case(Kind::Caddy)]
#[tokio::test]
async fn without_dropgate_the_shop_is_open_where_the_operator_took_the_lines_for_it(#[case] kind: Kind) {
    let site = Site::open(kind, json!({"mode": "hold"}), WithoutDropgate::Open).await;
    let visitor = site.visitor();
    assert_eq!(visitor.navigate("/a").await.status(), 302, "the line stands while Dropgate does");
    let form = visitor.request(Method::POST, "/pay").header("Sec-Fetch-Mode", "cors").body("x");
    assert_eq!(visitor.send(form).await.status(), 429);
    let Site { server, shop, gateway: _gateway, .. } = site;
    assert_eq!(server.stop(), 0);
    assert_eq!(visitor.navigate("/a").await.status(), 200);
    let spoofed = visitor.request(Method::POST, "/pay").header("X-Dropgate-Session", "1-1-x").body("card=1");
    assert_eq!(visitor.send(spoofed).await.status(), 200);
    let seen = shop.last();
    assert_eq!((seen.body.as_str(), seen.sessions), ("card=1", vec!["open".to_owned()]));
}

#[tokio::test]
async fn nginx_refuses_a_host_that_is_not_the_rooms() {
    let site = Site::new(Kind::Nginx, json!({"mode": "open"})).await;
    let request = plain().get(format!("{}/a", site.base)).header("Host", "evil.example");
    let refused = request.header("Accept", "text/html").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), location(&refused)), (403, ""));
    assert_eq!(site.visitor().navigate("/a").await.status(), 200);
    assert_eq!(site.shop.last().sessions, ["open"]);
}
