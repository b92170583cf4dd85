//! The waiting page in a real browser, against a real server.

#[path = "../support/mod.rs"]
mod support;

use support::browser::{Browser, Manner};

/// The rest of the suite is worth nothing if the browser it drives does not run pages.
#[tokio::test]
async fn the_browser_runs_pages() {
    let browser = Browser::open(&Manner::default()).await;
    browser.page.goto("data:text/html,<title>before</title><script>document.title='after'</script>").await.unwrap();
    assert_eq!(browser.page.title().await.unwrap(), "after");
    assert_eq!(browser.console().await, Vec::<String>::new());
}
