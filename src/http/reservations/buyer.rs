//! Who reserves, and by what right: a shop's server with a key, or a visitor with a pass.

use actix_web::{HttpRequest, http::header::HeaderName};

use crate::{
    http::{
        Context, auth,
        problem::{Code, Problem},
    },
    instance::{LiveSale, api_key::Scope},
    room::{Command, Holder, Outcome},
    sale::{Buyer, Caller},
    time::UnixMs,
    token::Pass,
};

/// Where visitors bring their pass.
pub const PASS_HEADER: HeaderName = HeaderName::from_static("x-dropgate-pass");

/// Who reserves.
#[derive(Debug)]
pub(super) struct Asking {
    pub caller: Caller,
    /// Whose limits count.
    pub name: Option<Buyer>,
    /// Whose the keys of idempotency are.
    pub scope: String,
}

/// Who reserves here. A key beats a pass: then the pass only names the buyer, where the shop does not. `named` is
/// whom the body names.
///
/// # Errors
/// 401 for a pass that is not ours, or over where none is required, and where there is neither; 403 `pass_required` for the same where the sale wants
/// one; 403 for a key that may not; 400 for a body that names a buyer without a key.
pub(super) async fn of(
    request: &HttpRequest,
    context: &Context,
    sale: &LiveSale,
    named: Option<Buyer>,
) -> Result<Asking, Problem> {
    let pass = brought(request, context)?;
    let subject = pass.as_ref().map(subject).transpose()?;
    if auth::brings_key(request) {
        let key = auth::authorize(request, Scope::Shop)?;
        let scope = format!("key:{}", key.id);
        return Ok(Asking { caller: Caller::Shop, name: named.or(subject), scope });
    }
    if named.is_some() {
        return Err(Problem::invalid_field("buyer", "only a shop's server with a key says who buys"));
    }
    match (pass, subject) {
        (Some(pass), Some(subject)) => {
            let deadline = deadline(context, sale, &pass).await?;
            if sale.document.requires_pass.is_empty() && deadline <= context.instance.clock.now() {
                // The sale would not look at it: whoever names a buyer by a pass has to be in the shop all the same.
                return Err(Problem::new(Code::InvalidPass, "the session is over: only a live pass names a buyer"));
            }
            let scope = format!("buyer:{subject}");
            Ok(Asking { caller: Caller::Pass { room: pass.room, deadline }, name: Some(subject), scope })
        }
        _ if sale.document.requires_pass.is_empty() => {
            Err(auth::without_key("bring a pass in the header X-Dropgate-Pass, or an API key"))
        }
        _ => Err(Problem::new(
            Code::PassRequired,
            "come through the waiting room, and bring its pass in the header X-Dropgate-Pass",
        )),
    }
}

/// The pass that came with the request, if any did, its signature checked.
fn brought(request: &HttpRequest, context: &Context) -> Result<Option<Pass>, Problem> {
    let Some(value) = request.headers().get(PASS_HEADER) else { return Ok(None) };
    // What is no text is no pass either.
    let token = value.to_str().unwrap_or("");
    let verified = context.instance.keys().verify_any_pass(token);
    verified.map(Some).map_err(|error| Problem::new(Code::InvalidPass, error.to_string()))
}

fn subject(pass: &Pass) -> Result<Buyer, Problem> {
    Buyer::parse(&pass.session.to_string()).map_err(|error| Problem::new(Code::InvalidPass, error.to_string()))
}

/// Until when the pass counts; the sale compares it with its own time. Signature and deadline decide, so that a
/// reservation costs no second store call: a session that was finished keeps its pass until then, and the limits by
/// buyer hold all the same. What memory alone knows is heeded: a room that is gone, or was reset, has no passes. And a
/// session may have been renewed since the pass was signed: only past the pass's deadline the room is asked for it.
async fn deadline(context: &Context, sale: &LiveSale, pass: &Pass) -> Result<UnixMs, Problem> {
    const VOID: UnixMs = UnixMs(0);
    let required = &sale.document.requires_pass;
    if !required.is_empty() && !required.contains(&pass.room) {
        return Ok(pass.deadline);
    }
    let Some(room) = context.instance.room(pass.room.as_str()) else { return Ok(VOID) };
    if room.lane.view().is_some_and(|view| pass.session.epoch < view.epoch) {
        return Ok(VOID);
    }
    if context.instance.clock.now() < pass.deadline {
        return Ok(pass.deadline);
    }
    let check = Command::Check { session: pass.session, holder: Holder::App };
    match room.lane.submit(check).await?.outcome {
        Outcome::Live(session) => Ok(session.deadline),
        _ => Ok(pass.deadline),
    }
}
