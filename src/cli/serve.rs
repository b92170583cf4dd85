//! `dropgate serve`.

use std::{
    io::{IsTerminal, stderr},
    net::SocketAddr,
    path::PathBuf,
};

use clap::Args;
use secrecy::ExposeSecret;

use super::{Failure, logs};
use crate::{
    app::Application,
    config::{self, Flags, PublicUrl, Sources, StoreUrl, load},
    instance::Instance,
};

#[derive(Args)]
pub struct Arguments {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR:PORT", value_parser = config::listener_address)]
    listen: Option<SocketAddr>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "DROPGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Where rooms live: `memory:`, `file:PATH` or `redis://…` [default: file:./dropgate-data].
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// The address visitors reach this installation by; needed unless it listens on loopback.
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// Makes a room `main` in front of this shop, if there is no room yet.
    #[arg(long, value_name = "URL")]
    shop: Option<String>,
    /// Takes operator calls, dashboard and metrics off the public listener.
    #[arg(long, value_name = "ADDR:PORT", value_parser = config::listener_address)]
    admin_listen: Option<SocketAddr>,
    /// The certificate chain in PEM; SIGHUP reads it again.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// Runs an instance until it is stopped.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = config::load(&Sources {
        file: arguments.config.clone(),
        environment: load::process_environment(),
        flags: arguments.into_flags(),
    })?;
    logs::start(&config.log)?;
    let app = Application::build(&config).await.map_err(|error| match error.is_configuration() {
        true => Failure::Usage(error.to_string()),
        false => Failure::failed("starting", &error),
    })?;
    hand_over_a_key(app.instance()).await?;
    app.heed_signals().map_err(|error| Failure::failed("listening to signals", &error))?;
    println!("listening on {}", app.url());
    if let Some(url) = app.admin_url() {
        println!("admin listening on {url}");
    }
    say_where(&app);
    app.run().await.map_err(|error| Failure::failed("running", &error))
}

/// The most rooms whose pages are named at start: what fits a screen.
const ROOMS_NAMED: usize = 10;

/// Names the addresses that a first start is curious about.
fn say_where(app: &Application) {
    let (visitors, operators) = (app.url(), app.admin_url().unwrap_or_else(|| app.url()));
    tracing::info!("operators sign in at {operators}/dashboard");
    for (id, _) in app.instance().rooms().iter().take(ROOMS_NAMED) {
        tracing::info!("visitors of the room {id} wait at {visitors}/w/{id}");
    }
}

/// Sees to it that somebody can operate this installation. A first key is shown once and to a person only: in a log it
/// would be a secret no more.
async fn hand_over_a_key(instance: &Instance) -> Result<(), Failure> {
    if instance.has_api_keys() {
        return Ok(());
    }
    if !stderr().is_terminal() {
        return Err(Failure::Usage(
            "there is no API key: set DROPGATE_ADMIN_KEY, or declare one in the configuration (`dropgate key new --scope admin` makes it)"
                .to_owned(),
        ));
    }
    let made =
        instance.create_first_api_key().await.map_err(|error| Failure::failed("making the first key", &error))?;
    if let Some(made) = made {
        eprintln!("The first API key, of scope admin, shown this once:\n\n    {}\n", made.secret.expose_secret());
    }
    Ok(())
}

impl Arguments {
    fn into_flags(self) -> Flags {
        Flags {
            listen: self.listen,
            admin_listen: self.admin_listen,
            store: self.store,
            public_url: self.public_url,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            shop: self.shop,
        }
    }
}
