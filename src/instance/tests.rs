use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::{
    instance::api_key::{ENV_ADMIN, Origin, Scope, SecretHash},
    store::embedded::Embedded,
    token::keys::{PUBLISHED_BEFORE_MS, Purpose},
};

/// A clock that stands until it is moved, a store that outlives instances, and what to start one with.
struct Bench {
    now: Arc<AtomicU64>,
    store: Backend,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new() -> Self {
        let now = Arc::new(AtomicU64::new(1_800_000_000_000));
        let metrics = Arc::new(Metrics::new());
        let store = Embedded::memory(clock(&now), Arc::clone(&metrics));
        Self { now, store: Backend::Embedded(store), metrics }
    }

    fn options(&self) -> Options {
        Options {
            public_url: "https://line.example".to_owned(),
            rooms: Vec::new(),
            sales: Vec::new(),
            api_keys: Vec::new(),
            admin_secret: None,
            signing: SigningPolicy::default(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    async fn start(&self, options: Options) -> Result<Arc<Instance>, StartError> {
        Instance::start(self.store.clone(), clock(&self.now), Arc::clone(&self.metrics), options).await
    }

    async fn instance(&self) -> Arc<Instance> {
        self.start(self.options()).await.unwrap()
    }

    fn pass_ms(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }
}

fn clock(now: &Arc<AtomicU64>) -> Clock {
    let now = Arc::clone(now);
    Clock::new(move || UnixMs(now.load(Ordering::Relaxed)))
}

fn new_key(scopes: &[Scope]) -> NewKey {
    NewKey { name: "a key".to_owned(), scopes: scopes.iter().copied().collect(), rooms: None, sales: None }
}

mod redis;
mod rooms;
mod sales;
mod several;
mod stock;

mod keys {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn a_created_key_works_everywhere_until_it_is_removed() {
        let bench = Bench::new();
        let (one, other) = (bench.instance().await, bench.instance().await);
        let admin = one.create_api_key(new_key(&[Scope::Admin])).await.unwrap();
        let made = one.create_api_key(new_key(&[Scope::Shop])).await.unwrap();
        let secret = made.secret.expose_secret();
        assert_eq!(one.api_key(secret).unwrap().id, made.key.id);
        assert!(other.api_key(secret).is_none(), "not heard of yet");
        other.refresh().await.unwrap();
        assert_eq!(other.api_key(secret).unwrap().scopes, [Scope::Shop].into());

        one.delete_api_key(&made.key.id, &admin.key.id).await.unwrap();
        assert!(one.api_key(secret).is_none());
        other.refresh().await.unwrap();
        assert!(other.api_key(secret).is_none());
        assert_eq!(one.delete_api_key(&made.key.id, &admin.key.id).await, Err(OperateError::Unknown));
    }

    #[tokio::test]
    async fn neither_the_own_key_nor_a_configured_one_can_be_removed() {
        let bench = Bench::new();
        let declared = DeclaredKey {
            name: "till".to_owned(),
            scopes: [Scope::Shop].into(),
            rooms: None,
            sales: None,
            sha256: SecretHash::of("till secret"),
        };
        let options = Options {
            admin_secret: Some("from the environment".to_owned().into()),
            api_keys: vec![declared],
            ..bench.options()
        };
        let instance = bench.start(options).await.unwrap();
        assert_eq!(instance.api_key("from the environment").unwrap().origin, Origin::Environment);
        assert_eq!(instance.api_key("till secret").unwrap().id, "till");
        let made = instance.create_api_key(new_key(&[Scope::Admin])).await.unwrap();
        for id in [ENV_ADMIN, "till", &made.key.id] {
            let refused = instance.delete_api_key(id, &made.key.id).await;
            assert!(matches!(refused, Err(OperateError::Conflict(_))), "{id}: {refused:?}");
        }
        assert_eq!(instance.api_keys().len(), 3);
    }

    #[tokio::test]
    async fn a_key_that_says_too_little_is_refused_by_field() {
        let instance = Bench::new().instance().await;
        let field = async |wanted: NewKey| match instance.create_api_key(wanted).await {
            Err(OperateError::Invalid(error)) => error.field,
            _ => "taken".to_owned(),
        };
        assert_eq!(field(new_key(&[])).await, "scopes");
        assert_eq!(field(NewKey { name: " ".to_owned(), ..new_key(&[Scope::Read]) }).await, "name");
        assert_eq!(field(NewKey { name: "x".repeat(81), ..new_key(&[Scope::Read]) }).await, "name");
        assert_eq!(field(NewKey { rooms: Some([].into()), ..new_key(&[Scope::Read]) }).await, "rooms");
        assert_eq!(field(NewKey { sales: Some([].into()), ..new_key(&[Scope::Read]) }).await, "sales");
        assert!(instance.api_keys().is_empty());
    }

    #[tokio::test]
    async fn the_first_key_is_made_once() {
        let instance = Bench::new().instance().await;
        assert!(!instance.has_api_keys());
        let first = instance.create_first_api_key().await.unwrap().unwrap();
        assert!(first.key.allows(Scope::Admin));
        assert!(instance.create_first_api_key().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn two_configured_keys_of_one_name_are_refused() {
        let bench = Bench::new();
        for name in ["twice", ENV_ADMIN] {
            let key = DeclaredKey {
                name: name.to_owned(),
                scopes: [Scope::Read].into(),
                rooms: None,
                sales: None,
                sha256: SecretHash::of(name),
            };
            let refused = bench.start(Options { api_keys: vec![key.clone(), key], ..bench.options() }).await;
            assert!(matches!(refused, Err(StartError::Key { .. })), "{name}");
        }
    }
}

mod signing {
    use super::*;

    fn generations(instance: &Instance, purpose: Purpose) -> Vec<u64> {
        instance.signing_keys().iter().filter(|key| key.purpose == purpose).map(|key| key.generation).collect()
    }

    #[tokio::test]
    async fn the_first_start_makes_keys_and_the_next_finds_them() {
        let bench = Bench::new();
        let first = bench.instance().await;
        assert_eq!(first.signing_keys().len(), Purpose::ALL.len());
        let again = bench.instance().await;
        assert_eq!(again.signing_keys(), first.signing_keys());
    }

    #[tokio::test]
    async fn a_rotation_publishes_first_and_signs_later() {
        let bench = Bench::new();
        let instance = bench.instance().await;
        instance.rotate_signing_keys().await.unwrap();
        assert_eq!(generations(&instance, Purpose::Pass), [1, 2]);
        let newest = instance.signing_keys().into_iter().find(|key| key.generation == 2).unwrap();
        assert_eq!(newest.signs_from.since(newest.published), PUBLISHED_BEFORE_MS);
        let early = instance.rotate_signing_keys().await;
        assert!(matches!(early, Err(OperateError::Conflict(_))), "a successor is announced already");
        bench.pass_ms(PUBLISHED_BEFORE_MS);
        instance.rotate_signing_keys().await.unwrap();
        assert_eq!(generations(&instance, Purpose::Pass), [1, 2, 3]);
    }

    #[tokio::test]
    async fn age_replaces_a_key_and_forgets_it_when_nothing_it_signed_is_good() {
        let bench = Bench::new();
        let instance = bench.instance().await;
        let day_ms = 24 * 60 * 60 * 1000;
        instance.keep_signing_keys().await.unwrap();
        assert_eq!(generations(&instance, Purpose::EntryPass), [1]);
        bench.pass_ms(90 * day_ms);
        instance.keep_signing_keys().await.unwrap();
        assert_eq!(generations(&instance, Purpose::EntryPass), [1, 2]);
        bench.pass_ms(day_ms);
        instance.keep_signing_keys().await.unwrap();
        assert_eq!(generations(&instance, Purpose::EntryPass), [2], "entry passes live for minutes");
        assert_eq!(generations(&instance, Purpose::Ticket), [1, 2], "tickets stand in line for long");
    }

    #[tokio::test]
    async fn a_configured_purpose_is_not_made_and_what_was_stored_only_verifies() {
        let bench = Bench::new();
        let stored = bench.instance().await;
        let key = crate::token::SigningKey {
            kid: "own".to_owned(),
            signs_from: UnixMs(0),
            ..stored.signing_keys().into_iter().find(|key| key.purpose == Purpose::Ticket).unwrap()
        };
        let own = SigningPolicy { keys: vec![key], ..SigningPolicy::default() };
        let instance = bench.start(Options { signing: own, ..bench.options() }).await.unwrap();
        let ring = instance.keys();
        let ticket = crate::token::Ticket {
            room: RoomId::parse("main").unwrap(),
            kind: crate::token::TicketKind::Position,
            number: 1,
            epoch: 1,
            issued: bench_now(&bench),
        };
        let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let token = ring.sign_ticket(&ticket, bench_now(&bench));
        assert_eq!(kid(&token), "own");
        let before = stored.keys().sign_ticket(&ticket, bench_now(&bench));
        assert_eq!(ring.verify_ticket(&ticket.room, &before), Ok(ticket), "tickets in the line stay good");
        instance.rotate_signing_keys().await.unwrap();
        assert_eq!(generations(&instance, Purpose::Ticket), [1], "the configuration's to replace");
        assert_eq!(generations(&instance, Purpose::Pass), [1, 2]);
    }

    fn bench_now(bench: &Bench) -> UnixMs {
        UnixMs(bench.now.load(Ordering::Relaxed))
    }
}
