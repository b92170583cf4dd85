//! `dropgate key new` and `dropgate keys export`.

use clap::{Args, Subcommand};
use reqwest::{Method, StatusCode};

use super::{Failure, remote::Remote};
use crate::{
    config::PublicUrl,
    instance::api_key::{Scope, SecretHash, new_secret},
};

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Prints a new secret, and the lines with its hash for the configuration file.
    New(NewArguments),
}

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Prints the JWKS: the public keys, for shops that verify passes without asking.
    Export(ExportArguments),
}

#[derive(Args)]
pub struct NewArguments {
    /// What the key may do: `read`, `shop` or `admin`; can be given several times. `read` if left out.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
    scopes: Vec<Scope>,
    /// The key's name in the configuration.
    #[arg(long, default_value = "new-key")]
    name: String,
}

#[derive(Args)]
pub struct ExportArguments {
    /// The installation's address, like `https://line.shop.example`.
    #[arg(long)]
    url: PublicUrl,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    [Scope::Read, Scope::Shop, Scope::Admin]
        .into_iter()
        .find(|scope| scope.as_str() == text)
        .ok_or_else(|| "must be read, shop or admin".to_owned())
}

/// Makes a key. Only its hash goes into the configuration, so what is printed here is all there is of the secret.
pub fn new(arguments: &NewArguments) -> Result<(), Failure> {
    let secret = new_secret().map_err(|error| Failure::failed("drawing random bytes", &error))?;
    let asked = if arguments.scopes.is_empty() { &[Scope::Read][..] } else { &arguments.scopes };
    let scopes: Vec<String> = asked.iter().map(|scope| format!("{:?}", scope.as_str())).collect();
    println!("# The secret, for whoever will use it: shown once and kept nowhere.");
    println!("# {secret}");
    println!("[[keys]]");
    println!("name = {}", toml_text(&arguments.name));
    println!("scopes = [{}]", scopes.join(", "));
    println!("sha256 = \"{}\"", SecretHash::of(&secret));
    Ok(())
}

/// A text as TOML writes it. JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Prints the public keys of an installation.
pub async fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let remote = Remote::new(arguments.url.clone(), None)?;
    let answer = remote.send(remote.call(Method::GET, "/.well-known/jwks.json")).await?;
    if answer.status != StatusCode::OK || answer.body.get("keys").is_none() {
        return Err(Failure::Failed(format!("reading the keys of {}: {}", arguments.url, answer.problem())));
    }
    println!("{:#}", answer.body);
    Ok(())
}
