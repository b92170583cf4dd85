//! The gate's doors answer any method and any path below them, which no route of one method can say: they are described
//! here.

#![expect(dead_code, reason = "these functions are descriptions, and never called")]

#[utoipa::path(get, path = "/gate/{room}/redirect", tag = "gate", operation_id = "gateByRedirect",
    description = "For proxies that pass our answer on (Caddy, Traefik, HAProxy). Any method, and any path below it.",
    params(("room" = String, Path, description = "The room's id"),
        ("X-Forwarded-Proto" = String, Header, description = "Of the visitor's request; counts from trusted proxies alone"),
        ("X-Forwarded-Host" = String, Header, description = "Of the visitor's request"),
        ("X-Forwarded-Uri" = Option<String>, Header, description = "Of the visitor's request; `/` where it is not given"),
        ("X-Forwarded-Method" = Option<String>, Header, description = "Of the visitor's request; its own where it is not given")),
    responses((status = 200, description = "Let it pass; `X-Dropgate-Session` names the session, or says `open`"),
        (status = 302, description = "A navigation: to the waiting page, or on with the session's cookie"),
        (status = 403, description = "`forbidden`: the host is not the room's"),
        (status = 404, description = "`unknown_room`"),
        (status = 429, description = "`rate_limited`, with `Location`: no navigation, so it can't be led away")))]
fn redirect() {}

#[utoipa::path(get, path = "/gate/{room}/nginx", tag = "gate", operation_id = "gateByNginx",
    description = "For nginx's `auth_request`, which knows three answers. Any method, and any path below it.",
    params(("room" = String, Path, description = "The room's id"),
        ("X-Original-URL" = String, Header, description = "Of the visitor's request; counts from trusted proxies alone"),
        ("X-Original-Method" = Option<String>, Header, description = "Of the visitor's request; its own where it is not given")),
    responses((status = 200, description = "Let it pass; `X-Dropgate-Session` names the session, or says `open`"),
        (status = 401, description = "Not in yet: lead a navigation to `Location`, with the `Set-Cookie`; `X-Dropgate-Reason` says why"),
        (status = 403, description = "No navigation, with `Location` to tell of; or never, without: `X-Dropgate-Reason` says why")))]
fn nginx() {}

#[utoipa::path(get, path = "/gate/{room}/envoy/{path}", tag = "gate", operation_id = "gateByEnvoy",
    description = "For Envoy's HTTP authorisation, which puts the path of the visitor's request behind the prefix and \
        sends its Host. Any method.",
    params(("room" = String, Path, description = "The room's id"),
        ("path" = String, Path, description = "The path of the visitor's request")),
    responses((status = 200, description = "Let it pass; `X-Dropgate-Session` names the session, or says `open`"),
        (status = 302, description = "A navigation: to the waiting page, or on with the session's cookie"),
        (status = 403, description = "`forbidden`: the host is not the room's"),
        (status = 404, description = "`unknown_room`"),
        (status = 429, description = "`rate_limited`, with `Location`: no navigation, so it can't be led away")))]
fn envoy() {}
