//! The page on other screens, in other scripts, in the dark: nothing is cut off, everything can be read and pressed.

use serde_json::{Value, json};

use crate::{
    scene::{Eyes, ROOM, Scene, picture, says},
    support::{
        browser::{Browser, Manner, Permission, Scheme},
        client::plain,
        server::ADMIN_KEY,
    },
};

/// Everything that does not fit, is too small to press or too faint to read, as text. WCAG 2.2 AA: 1.4.3, 1.4.10, 2.5.8.
const DEFECTS: &str = r##"
const found = [], root = document.documentElement;
if (root.scrollWidth > innerWidth) found.push(`scrolls sideways: ${root.scrollWidth} > ${innerWidth}`);
const light = text => {
  const part = text.match(/[\d.]+/g).slice(0, 3).map(n => n / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  return .2126 * part[0] + .7152 * part[1] + .0722 * part[2];
};
const clear = text => /rgba\(.*, 0\)|transparent/.test(text);
const ground = element => {
  for (; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if (!clear(color)) return color;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18,18,18)" : "rgb(255,255,255)";
};
for (const element of document.querySelectorAll("body, body *")) {
  if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
  const box = element.getBoundingClientRect();
  if (box.right > innerWidth + 1 || box.left < -1) found.push(`sticks out: ${element.tagName}#${element.id}`);
  if (element.matches("button, a, summary") && (box.height < 24 || box.width < 24)) found.push(`too small: ${element.outerHTML}`);
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || box.width <= 1) continue;
  const style = getComputedStyle(element), pair = [light(style.color), light(ground(element))].sort();
  const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
  const contrast = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
  if (contrast < (large ? 3 : 4.5)) found.push(`contrast ${contrast.toFixed(2)}: ${element.tagName}#${element.id} ${element.textContent}`);
}
return found;
"##;

/// That nothing on the page is cut off, too small or too faint.
pub async fn is_sound(browser: &Browser, what: &str) {
    let found = browser.page.execute(DEFECTS, Vec::new()).await.unwrap();
    assert_eq!(found, json!([]), "{what}");
}

/// A phone by day.
pub fn phone() -> Manner {
    Manner { width: 360, height: 740, scale: 2, ..Manner::default() }
}

/// Settings with everything a shop can say on its page, as long as it may be.
fn talkative() -> Value {
    json!({ "page": {
        "title": "The autumn drop: eight hundred pairs, once and never again, this evening",
        "message": "Two pairs a person. Have your address at hand, the shop holds what is in your cart for five minutes.",
        "accent": "#ffd400",
        "logo": "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCA0IDQiPjxjaXJjbGUgY3g9IjIiIGN5PSIyIiByPSIyIi8+PC9zdmc+",
    } })
}

#[tokio::test]
async fn every_screen_script_and_light_is_sound() {
    let scene = Scene::in_line(1).await;
    scene.people_join(1240).await;
    scene.server.patch_room(ROOM, talkative()).await;
    let zoomed = Manner { width: 640, height: 430, scale: 2, ..Manner::default() };
    let narrow = Manner { width: 320, height: 640, scale: 2, ..Manner::default() };
    for language in ["en", "ar", "de", "ja"] {
        let browser = scene.visitor(&Manner { language, ..Manner::default() }).await;
        browser.number().await;
        let seen = browser.reads("#head").await;
        assert_eq!(seen == says("h_line"), language == "en", "{language}: {seen}");
        let direction = browser.page.execute("return getComputedStyle(document.body).direction", Vec::new()).await;
        assert_eq!(direction.unwrap(), if language == "ar" { "rtl" } else { "ltr" });
        for (name, manner) in
            [("wide", Manner::default()), ("phone", phone()), ("zoomed", zoomed.clone()), ("narrow", narrow.clone())]
        {
            for (light, scheme) in [("light", Scheme::Light), ("dark", Scheme::Dark)] {
                browser.apply(&Manner { scheme, ..manner.clone() }).await;
                let what = format!("look-{language}-{name}-{light}");
                browser.picture(&picture(&what)).await;
                is_sound(&browser, &what).await;
            }
        }
        browser.heard_nothing().await;
    }
}

#[tokio::test]
async fn the_page_without_script_is_sound_too() {
    let scene = Scene::in_line(12).await;
    scene.server.patch_room(ROOM, talkative()).await;
    let browser = scene.visitor(&Manner { scripts: Permission::Refused, ..phone() }).await;
    is_sound(&browser, "join").await;
    browser.presses("#plain button[lang=ar]").await;
    browser.reads("#big").await;
    for scheme in [Scheme::Light, Scheme::Dark] {
        browser.apply(&Manner { scheme, ..phone() }).await;
        is_sound(&browser, "place").await;
    }
    browser.picture(&picture("plain-phone")).await;
}

#[tokio::test]
async fn errors_are_pages_too() {
    let scene = Scene::in_line(0).await;
    let browser = scene.visitor(&phone()).await;
    browser.page.goto(&scene.server.url("/w/no-such-room")).await.unwrap();
    browser.sees("h1", &says("not_found")).await;
    is_sound(&browser, "not found").await;
    browser.picture(&picture("not-found")).await;
}

#[tokio::test]
async fn the_operator_sees_the_line_on_the_dashboard() {
    let scene = Scene::in_line(40).await;
    let browser = Browser::open(&Manner::default()).await;
    browser.page.goto(&scene.server.url("/dashboard")).await.unwrap();
    browser.picture(&picture("dashboard-sign-in")).await;
    is_sound(&browser, "sign in").await;
    let field = browser.page.find(fantoccini::Locator::Css("input[type=password]")).await.unwrap();
    field.send_keys(ADMIN_KEY).await.unwrap();
    browser.presses("form button").await;
    let page = browser.reads("main").await;
    assert!(page.contains("The autumn drop"), "{page}");
    is_sound(&browser, "dashboard").await;
    browser.picture(&picture("dashboard")).await;
    browser.apply(&phone()).await;
    is_sound(&browser, "dashboard on a phone").await;
    browser.picture(&picture("dashboard-phone")).await;
    browser.heard_nothing().await;
}

#[tokio::test]
async fn the_operator_sees_a_sale_on_the_dashboard_and_restocks_it() {
    let scene = Scene::in_line(0).await;
    let call = async |request: reqwest::RequestBuilder, body: Value| {
        let request = request.bearer_auth(ADMIN_KEY).header("Idempotency-Key", "basket").json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    };
    let items = json!([
        { "sku": "shoe/42", "name": "The shoe", "total": 10 },
        { "sku": "a-sock-with-a-name-that-no-shelf-in-any-warehouse-could-carry-0123456789", "name": "Sock", "total": 0 },
    ]);
    let sale = scene.server.url("/v1/sales/autumn");
    call(plain().put(&sale), json!({ "name": "What the line is for", "items": items })).await;
    let basket = json!({ "lines": [{ "sku": "shoe/42", "quantity": 4 }] });
    call(plain().post(format!("{sale}/reservations")), basket).await;

    let browser = Browser::open(&Manner::default()).await;
    browser.page.goto(&scene.server.url("/dashboard")).await.unwrap();
    let field = browser.page.find(fantoccini::Locator::Css("input[type=password]")).await.unwrap();
    field.send_keys(ADMIN_KEY).await.unwrap();
    browser.presses("form button").await;
    browser.sees("#sales h2", "What the line is for").await;
    browser.sees("#sales .counts", "6 available · 4 held · 0 sold, of 10").await;
    browser.sees("#sales li:last-child .counts", "0 available · 0 held · 0 sold, of 0 · sold out").await;
    browser.presses("#sales summary").await;
    let field = browser.page.find(fantoccini::Locator::Css("#sales input")).await.unwrap();
    field.send_keys("5").await.unwrap();
    browser.presses("#sales form button").await;
    browser.sees("#sales .said", "5 units of shoe/42 are added.").await;
    browser.sees("#sales .counts", "11 available · 4 held · 0 sold, of 15").await;
    browser.presses("#sales summary").await;
    is_sound(&browser, "sales").await;
    for scheme in [Scheme::Light, Scheme::Dark] {
        browser.apply(&Manner { scheme, ..phone() }).await;
        is_sound(&browser, "sales on a phone").await;
    }
    browser.picture(&picture("dashboard-sales-phone")).await;
    browser.heard_nothing().await;
}
