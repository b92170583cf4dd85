//! Schemas of what the pure parts define: they know nothing of HTTP, so the shape is described here, and a test holds
//! it to the real thing.

#![expect(dead_code, reason = "these types are descriptions, and never made")]

use utoipa::{
    ToSchema,
    openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type},
};

/// An error (RFC 9457); further members depend on its code.
#[derive(ToSchema)]
pub struct Problem {
    /// `urn:dropgate:<code>`
    #[schema(rename = "type", example = "urn:dropgate:invalid_request")]
    r#type: String,
    title: String,
    status: u16,
    /// What the caller can do about it.
    detail: String,
    /// The path that was asked.
    instance: String,
    /// The field at fault, for `invalid_request`.
    field: Option<String>,
    /// The version that stands there, for `stale_version` and `version_required`.
    version: Option<u64>,
    /// Why the ticket is void, for `ticket_lapsed`.
    reason: Option<String>,
}

/// The documents of rooms.
#[derive(ToSchema)]
pub struct RoomList {
    rooms: Vec<RoomDocument>,
}

/// A room: one line in front of one shop or product, with its settings. What is left out takes the default.
#[derive(ToSchema)]
pub struct RoomDocument {
    /// As in the address; may be left out of a PUT.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "main", required = false)]
    id: String,
    name: String,
    /// Where visitors go when nothing better is known; its host is always allowed.
    #[schema(example = "https://shop.example/")]
    shop_url: String,
    /// Hosts a visitor may be sent back to: `a.example` exact, `.example.com` its subdomains.
    #[schema(default = json!([]), required = false)]
    allowed_hosts: Vec<String>,
    /// The domain of the gate's session cookie, where one shop has several hosts.
    cookie_domain: Option<String>,
    #[schema(default = 600, minimum = 1, maximum = 10_000_000, required = false)]
    rate_per_minute: u64,
    /// Permits that may stand ready; one second of the rate, at least 1, if null.
    burst: Option<u64>,
    /// The most visitors inside the shop at once, unclaimed calls counted.
    max_active: Option<u64>,
    #[schema(default = 180, required = false)]
    claim_window_seconds: u64,
    /// How many times the rate may be called beyond it to make up for no-shows.
    #[schema(default = 1, required = false)]
    overcall: u64,
    #[schema(default = 600, required = false)]
    session_seconds: u64,
    #[schema(default = true, required = false)]
    session_renewal: bool,
    session_max_seconds: Option<u64>,
    #[schema(inline, default = "queue", required = false)]
    mode: Mode,
    #[schema(format = DateTime)]
    opens_at: Option<String>,
    #[schema(format = DateTime)]
    closes_at: Option<String>,
    /// Not in this version: must be false.
    #[schema(default = false, required = false)]
    draw: bool,
    /// The sale behind the room.
    sale: Option<String>,
    /// What the line does with the stock of its sale: nothing (`off`), tell everyone who waits (`inform`), and call no
    /// more visitors than there are units (`hold`). Other than `off` it needs a `sale`.
    #[schema(inline, default = "off", required = false)]
    stock_gate: StockGate,
    #[schema(inline, default = "closed", required = false)]
    on_store_failure: OnStoreFailure,
    /// Joins a minute and address (IPv6 by /64); 0 switches the limit off.
    #[schema(default = 60, required = false)]
    join_per_address: u64,
    #[schema(inline, required = false)]
    page: Page,
    /// Told, and not taken: which version a PUT replaces is for `If-Match` to say.
    #[schema(read_only, required = false)]
    version: u64,
}

/// The documents of sales.
#[derive(ToSchema)]
pub struct SaleList {
    sales: Vec<SaleDocument>,
}

/// A sale: a set of items with their stock and limits. What is left out takes the default.
#[derive(ToSchema)]
pub struct SaleDocument {
    /// As in the address; may be left out of a PUT.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "autumn", required = false)]
    id: String,
    name: String,
    #[schema(inline, min_items = 1, max_items = 1000)]
    items: Vec<SaleItem>,
    /// How long a hold lives.
    #[schema(default = 300, minimum = 1, maximum = 43_200, required = false)]
    hold_seconds: u64,
    /// The longest it may live by wish or extension.
    #[schema(default = 900, minimum = 1, maximum = 43_200, required = false)]
    hold_max_seconds: u64,
    /// How much longer it lives at least once the buyer is at the payment provider.
    #[schema(default = 300, maximum = 43_200, required = false)]
    payment_grace_seconds: u64,
    /// The most units, of all items, that one buyer may hold and have bought.
    max_units_per_buyer: Option<u64>,
    /// Only holders of a live pass of one of these rooms may reserve; anyone if empty.
    #[schema(default = json!([]), required = false)]
    requires_pass: Vec<String>,
    /// Whether confirming the whole of a reservation ends the session of its buyer's pass.
    #[schema(default = false, required = false)]
    finish_session: bool,
    #[schema(format = DateTime)]
    opens_at: Option<String>,
    #[schema(format = DateTime)]
    closes_at: Option<String>,
    /// Whether those without a key see how many units are left.
    #[schema(default = true, required = false)]
    show_numbers: bool,
    /// Told, and not taken: which version a PUT replaces is for `If-Match` to say.
    #[schema(read_only, required = false)]
    version: u64,
}

/// One item of a sale.
#[derive(ToSchema)]
pub struct SaleItem {
    /// 1 to 128 visible ASCII characters.
    #[schema(pattern = "^[!-~]{1,128}$")]
    sku: String,
    name: String,
    /// The units it was told to begin with. Changed, it adds or withdraws the difference; the sale's view has the stock.
    #[schema(maximum = 1_000_000_000)]
    total: u64,
    /// The most units of it that one buyer may hold and have bought.
    per_buyer: Option<u64>,
}

/// How the room treats its line.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Mode {
    Queue,
    Open,
    Hold,
    Closed,
}

/// What the line does with what it knows of the stock.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum StockGate {
    Off,
    Inform,
    Hold,
}

/// What the gate does while the store is out of reach.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum OnStoreFailure {
    Closed,
    Open,
}

/// How the room's page looks.
#[derive(ToSchema)]
struct Page {
    /// At most 80 characters.
    #[schema(schema_with = localized)]
    title: (),
    /// At most 300 characters.
    #[schema(schema_with = localized)]
    message: (),
    /// A data URI: PNG, WebP or SVG of at most 16 kB.
    logo: Option<String>,
    #[schema(pattern = "^#[0-9a-fA-F]{6}$", example = "#0a7d55")]
    accent: Option<String>,
}

/// A text, or one a language, or null.
fn localized() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let by_language = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(text()))
        .description(Some("By language: `{\"en\": \"…\", \"de\": \"…\"}`"));
    let null = ObjectBuilder::new().schema_type(Type::Null);
    Schema::OneOf(OneOfBuilder::new().item(text()).item(by_language).item(null).build())
}
