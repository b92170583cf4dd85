use super::*;

/// A server that also speaks TLS, and that port.
fn start() -> (RedisServer, u16) {
    let port = free_port();
    let [cert, key] = ["server.pem", "server.key"].map(|name| file(name).to_str().unwrap().to_owned());
    let server = RedisServer::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        file("ca.pem").to_str().unwrap(),
        "--tls-auth-clients",
        "no",
    ]);
    (server, port)
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/store/redis/link/tests/tls").join(name)
}

fn trusting(name: &str) -> LinkOptions {
    LinkOptions { ca_file: Some(file(name)), ..options() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_and_the_server_has_to_prove_who_it_is() {
    let (_server, port) = start();
    let at = |host: &str| url(&format!("rediss://{host}:{port}"));
    let link = Link::open(&at("127.0.0.1"), trusting("ca.pem")).await.unwrap();
    assert_eq!(append(&link, "k", "a").await.unwrap(), "a");
    let said = refusal(&at("127.0.0.1"), options()).await;
    assert!(said.contains("can't be reached: invalid peer certificate: UnknownIssuer"), "{said}");
    // The certificate is for the address.
    let said = refusal(&at("localhost"), trusting("ca.pem")).await;
    assert!(said.contains("invalid peer certificate"), "{said}");
    let said = refusal(&url(&format!("redis://127.0.0.1:{port}")), options()).await;
    assert!(said.contains("can't be reached"), "{said}");
}

#[tokio::test]
async fn a_file_of_authorities_that_is_none_is_told() {
    let at = url("rediss://127.0.0.1:1");
    let said = refusal(&at, trusting("nothing.pem")).await;
    assert!(said.starts_with("store.ca_file: ") && said.contains("No such file"), "{said}");
    let said = refusal(&at, trusting("server.key")).await;
    assert!(said.starts_with("store.ca_file: ") && said.contains("holds no certificate"), "{said}");
}
