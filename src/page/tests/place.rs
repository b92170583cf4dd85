//! The journey without script.

use super::document;
use crate::{
    page::{Journey, Language, PlaceState, Rendered, place, place::InLine},
    room::{
        Document, HeldBack, Phase,
        estimate::{Chance, Wait},
        settings::Page,
        stock::Level,
    },
    time::UnixMs,
};

const NOW: UnixMs = UnixMs(1_790_000_000_000);

/// A page for a German visitor on the way to an address full of signs that mean something in a query.
pub(super) fn journey(document: &Document, page: impl FnOnce(&Journey<'_>) -> Rendered) -> Rendered {
    page(&Journey {
        document,
        language: Language::German,
        return_url: Some("https://shop.example/a?b=c&d=\"<e>"),
        now: NOW,
    })
}

fn waiting(phase: Phase) -> PlaceState {
    PlaceState::Waiting(InLine {
        position: 4812,
        ahead: 1240,
        head: 3571,
        wait: Some(Wait { low: 500, likely: 600, high: 760 }),
        phase,
        held_back: Some(HeldBack::ShopFull),
        stock: None,
        stock_held: None,
        chance: None,
    })
}

fn refresh_of(html: &str) -> Option<u64> {
    let (_, rest) = html.split_once(r#"<meta http-equiv="refresh" content=""#)?;
    Some(rest.split_once('"').unwrap().0.parse().unwrap())
}

#[test]
fn a_waiting_visitor_reads_it_all_in_the_own_language() {
    let page = journey(&document(Page::default()), |journey| place(journey, &waiting(Phase::Running)));
    for text in [
        r#"<html lang="de" dir="ltr">"#,
        "Sie stehen in der Schlange",
        "1\u{202f}240",
        "4\u{202f}812",
        "Geschätzte Wartezeit: 8–13 Min.",
        "Der Shop ist voll.",
        "14:13:20 UTC",
        "--p:0.74",
    ] {
        assert!(page.html.contains(text), "{text} missing in {}", page.html);
    }
    assert!(!page.html.contains("/enter"), "nobody enters who is not called");
}

#[test]
fn the_page_refreshes_within_a_quarter_of_the_claim_window() {
    for (window, expected) in [(180, 30), (60, 15), (8, 2), (3, 1)] {
        let mut document = document(Page::default());
        document.claim_window_seconds = window;
        let far = journey(&document, |journey| place(journey, &waiting(Phase::Running)));
        assert_eq!(refresh_of(&far.html), Some(expected), "window {window}");
    }
}

#[test]
fn a_void_before_the_place_is_no_way_to_go() {
    let PlaceState::Waiting(mut line) = waiting(Phase::Running) else { unreachable!() };
    (line.position, line.head, line.ahead) = (200_600, 500, 99);
    let page = journey(&document(Page::default()), |journey| place(journey, &PlaceState::Waiting(line)));
    assert!(page.html.contains("--p:0.83"), "{}", page.html);
}

#[test]
fn the_nearer_the_turn_the_sooner_the_refresh() {
    let PlaceState::Waiting(mut line) = waiting(Phase::Running) else { unreachable!() };
    line.wait = Some(Wait { low: 40, likely: 50, high: 70 });
    let near = journey(&document(Page::default()), |journey| place(journey, &PlaceState::Waiting(line)));
    assert_eq!(refresh_of(&near.html), Some(5));
}

#[test]
fn a_called_visitor_gets_a_form_and_no_reload_under_the_finger() {
    let deadline = NOW.plus_ms(100_000);
    let page =
        journey(&document(Page::default()), |journey| place(journey, &PlaceState::Called { position: 7, deadline }));
    let address = "/w/main/enter?t=https%3A%2F%2Fshop.example%2Fa%3Fb%3Dc%26d%3D%22%3Ce%3E";
    assert!(page.html.contains(&format!(r#"<form method="post" action="{address}">"#)), "{}", page.html);
    assert_eq!(refresh_of(&page.html), Some(101));
    assert!(page.csp.contains("form-action 'self' *.shop.example https://shop.example;"), "{}", page.csp);
}

#[test]
fn who_is_out_of_the_line_comes_back_by_a_button_only() {
    for state in [PlaceState::Lapsed, PlaceState::Over, PlaceState::Reset] {
        let page = journey(&document(Page::default()), |journey| place(journey, &state));
        assert_eq!(refresh_of(&page.html), None, "{state:?}");
        assert!(page.html.contains("Hinten neu anstellen"), "{state:?}");
        assert!(!page.html.contains("/leave"), "{state:?}: there is nothing to leave");
    }
}

#[test]
fn each_state_has_its_own_words() {
    let states = [
        (PlaceState::Outside, "In die Schlange stellen"),
        (PlaceState::Shut, "Die Schlange ist geschlossen"),
        (waiting(Phase::Scheduled), "Noch nicht geöffnet"),
        (waiting(Phase::Paused), "Die Schlange pausiert"),
        (waiting(Phase::Closed), "Ihr Platz bleibt Ihnen."),
        (PlaceState::Inside { position: 7, deadline: NOW }, "Sie sind dran"),
        (PlaceState::Lapsed, "Sie haben Ihren Aufruf verpasst"),
        (PlaceState::Reset, "Der Shop hat die Schlange neu begonnen."),
        (PlaceState::Trouble { holds_ticket: true }, "Ihr Platz bleibt Ihnen."),
    ];
    for (state, words) in states {
        let page = journey(&document(Page::default()), |journey| place(journey, &state));
        assert!(page.html.contains(words), "{words:?} missing for {state:?}");
    }
    let newcomer =
        journey(&document(Page::default()), |journey| place(journey, &PlaceState::Trouble { holds_ticket: false }));
    assert!(!newcomer.html.contains("Ihr Platz"), "who has no place is promised none");
}

#[test]
fn the_stock_is_said_in_words() {
    let page = |change: &dyn Fn(&mut InLine)| {
        let PlaceState::Waiting(mut line) = waiting(Phase::Running) else { unreachable!() };
        line.held_back = None;
        change(&mut line);
        journey(&document(Page::default()), |journey| place(journey, &PlaceState::Waiting(line.clone()))).html
    };
    let plenty = page(&|line| line.stock = Some(Level::InStock));
    assert!(plenty.contains("Vorrätig\nGeschätzte Wartezeit: 8–13 Min."), "{plenty}");
    let waits_for_units = page(&|line| (line.stock, line.wait) = (Some(Level::InStock), None));
    assert!(waits_for_units.contains(r#"<p id="wait">Vorrätig</p>"#), "{waits_for_units}");
    let held = page(&|line| (line.stock, line.stock_held) = (Some(Level::AllHeld), Some(1300)));
    assert!(held.contains("Alles liegt in Warenkörben (1\u{202f}300) und kommt vielleicht zurück."), "{held}");
    let unsaid = page(&|line| line.stock = Some(Level::AllHeld));
    assert!(unsaid.contains("Alles liegt in Warenkörben und kommt vielleicht zurück."), "{unsaid}");
    let few = page(&|line| (line.stock, line.chance) = (Some(Level::InStock), Some(Chance::Unlikely)));
    assert!(few.contains("Andere vor Ihnen nehmen vielleicht den Rest."), "{few}");
    let sold = page(&|line| line.stock = Some(Level::SoldOut));
    assert!(sold.contains("Ausverkauft") && sold.contains("Sie brauchen nicht zu warten."), "{sold}");
    assert!(
        sold.contains("/leave") && sold.contains(r#"http-equiv="refresh""#),
        "a way to leave, and news if there are any"
    );
    assert!(!sold.contains("id=\"big\"") && !sold.contains("Wartezeit"), "no number to look forward to");
    assert!(
        page(&|_| {}).contains(r#"<p id="wait">Geschätzte Wartezeit: 8–13 Min.</p>"#),
        "nothing known, nothing said"
    );
}

#[test]
fn arabic_runs_from_right_to_left() {
    let document = document(Page::default());
    let journey = Journey { document: &document, language: Language::Arabic, return_url: None, now: NOW };
    let page = place(&journey, &waiting(Phase::Running));
    assert!(page.html.contains(r#"<html lang="ar" dir="rtl">"#));
    assert!(page.html.contains(r#"action="/w/main/leave""#), "no return address, no query");
}
