//! Sessions that end, stores that fail, and how little the store is asked.

use super::*;
use crate::room::{SessionRef, Tag};

#[actix_web::test]
async fn a_verdict_stands_for_five_seconds_and_no_longer() {
    let gate = Gate::with(json!({})).await;
    let (session, cookie) = gate.inside().await;
    gate.crowd().await;
    assert_eq!(gate.ask("/", PAGE, &cookie).await.status, 200);
    gate.submit(Command::Finish { session: session.name }).await;
    gate.pass_ms(4_999);
    assert_eq!(gate.ask("/", PAGE, &cookie).await.status, 200, "not asked again yet");
    gate.pass_ms(1);
    let answer = gate.ask("/", PAGE, &cookie).await;
    assert_eq!((answer.status, answer.reason.as_str()), (302, "session_over"));
    assert_eq!(gate.ask("/", CALL, &cookie).await.status, 429);
}

#[actix_web::test]
async fn a_visitor_who_keeps_clicking_stays_inside_and_is_renewed_once_a_minute() {
    let gate = Gate::with(json!({"session_seconds": 600})).await;
    let (session, cookie) = gate.inside().await;
    let deadline = || async {
        let holder = crate::room::Holder::App;
        match gate.submit(Command::Check { session: session.name, holder }).await {
            Outcome::Live(live) => live.deadline,
            other => panic!("{other:?}"),
        }
    };
    for _ in 0..20 {
        let before = deadline().await;
        gate.pass_ms(59_000);
        assert_eq!(gate.ask("/", PAGE, &cookie).await.status, 200);
        assert_eq!(deadline().await, before, "renewed within a minute");
        gate.pass_ms(6_000);
        assert_eq!(gate.ask("/", PAGE, &cookie).await.status, 200);
        assert_eq!(deadline().await, before.plus_ms(65_000), "not renewed after a minute");
    }
    gate.pass_ms(600_000);
    assert_ne!(gate.ask("/", PAGE, &cookie).await.status, 200);
}

#[actix_web::test]
async fn a_session_shorter_than_a_minute_is_renewed_in_time() {
    let gate = Gate::with(json!({"session_seconds": 30})).await;
    let (_, cookie) = gate.inside().await;
    for _ in 0..10 {
        gate.pass_ms(16_000);
        assert_eq!(gate.ask("/", PAGE, &cookie).await.status, 200);
    }
}

#[actix_web::test]
async fn a_session_without_renewal_ends_however_busy() {
    let gate = Gate::with(json!({"session_seconds": 120, "session_renewal": false})).await;
    let (_, cookie) = gate.inside().await;
    gate.crowd().await;
    gate.pass_ms(119_000);
    assert_eq!(gate.ask("/", PAGE, &cookie).await.status, 200);
    gate.pass_ms(6_000);
    assert_eq!(gate.ask("/", PAGE, &cookie).await.reason, "session_over");
}

#[actix_web::test]
async fn a_reset_of_the_line_puts_everyone_out() {
    let gate = Gate::with(json!({})).await;
    let (_, cookie) = gate.inside().await;
    gate.submit(Command::Reset).await;
    gate.crowd().await;
    assert_eq!(gate.ask("/", PAGE, &cookie).await.reason, "session_over");
}

#[actix_web::test]
async fn a_cookie_of_another_room_or_a_made_up_one_is_none() {
    let gate = Gate::with(json!({})).await;
    let (session, cookie) = gate.inside().await;
    gate.crowd().await;
    let other = gate.instance.room("other").unwrap().id.clone();
    let now = gate.instance.clock.now();
    let foreign = gate.signed_cookie(&SessionCookie { room: other, session: session.name, exchanged: now });
    let wrong_tag = SessionRef { tag: Tag(1), ..session.name };
    let guessed =
        gate.signed_cookie(&SessionCookie { room: gate.room().id.clone(), session: wrong_tag, exchanged: now });
    for (bad, reason) in [
        (foreign.as_str(), "no_session"),
        (guessed.as_str(), "session_over"),
        (&cookie[..cookie.len() - 2], "no_session"),
        ("__Host-dropgate_session_main=", "no_session"),
        ("dropgate_session_main=x", "no_session"),
    ] {
        let answer = gate.ask("/", PAGE, bad).await;
        assert_eq!((answer.status, answer.reason.as_str()), (302, reason), "{bad}");
    }
    let name_without_prefix = cookie.replace("__Host-", "");
    assert_eq!(gate.ask("/", PAGE, &name_without_prefix).await.reason, "no_session");
    let both = format!("{foreign}; {cookie}");
    assert_eq!(gate.ask("/", PAGE, &both).await.status, 200, "the good one among them counts");
}

#[actix_web::test]
async fn without_its_store_a_room_is_closed_unless_it_is_to_stay_open() {
    for (policy, page, call) in [("closed", 302, 429), ("open", 200, 200)] {
        let gate = Gate::with(json!({"on_store_failure": policy})).await;
        let (_, pass) = gate.claimed().await;
        let (_, cookie) = gate.inside().await;
        gate.store.close().await.unwrap();
        gate.pass_ms(10_000);
        for cookie in ["", cookie.as_str()] {
            let answer = gate.ask("/a", PAGE, cookie).await;
            assert_eq!(answer.status, page, "{policy} {answer:?}");
            assert_eq!(answer.reason, if page == 200 { "" } else { "store_failed" });
            assert_eq!(gate.ask("/a.js", CALL, cookie).await.status, call, "{policy}");
        }
        let on_the_way = gate.ask(&format!("/a?dropgate={pass}"), PAGE, "").await;
        assert_eq!(on_the_way.status, page, "{policy} {on_the_way:?}");
        let nginx = [("x-original-url", "https://shop.example/a"), ("cookie", cookie.as_str())];
        let nginx = gate.call(Method::GET, "/gate/main/nginx", &[&nginx[..], PAGE].concat()).await;
        assert_eq!(nginx.status, if page == 200 { 200 } else { 401 });
    }
}

#[actix_web::test]
async fn a_room_that_is_to_stay_open_still_has_its_line_while_the_store_answers() {
    let gate = Gate::with(json!({"on_store_failure": "open"})).await;
    gate.crowd().await;
    assert_eq!(gate.ask("/", PAGE, "").await.status, 302);
    assert_eq!(gate.ask("/", CALL, "").await.status, 429);
}

#[actix_web::test]
async fn a_store_that_is_merely_busy_opens_no_room() {
    use super::super::decide::lets_in;
    use crate::store::StoreError;

    let open = Gate::with(json!({"on_store_failure": "open"})).await.room();
    assert!(lets_in(&open, &StoreError::Unavailable(String::new())));
    assert!(lets_in(&open, &StoreError::Recovering), "it can let nobody in for some seconds");
    assert!(!lets_in(&open, &StoreError::Overloaded), "it is busy because there is a crowd");
    let closed = Gate::with(json!({})).await.room();
    assert!(!lets_in(&closed, &StoreError::Unavailable(String::new())));
}
