//! The command line: exit codes, and one clear line of what is wrong.

use std::{
    fs,
    process::{Command, Output},
};

use reqwest::Method;
use serde_json::json;

use crate::support::server::{ADMIN_KEY, Home, Server, dropgate};

/// The exit code, standard output and standard error of a command that ends by itself.
fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn an_unknown_command_or_flag_is_a_usage_error() {
    for arguments in [&["queue"][..], &["serve", "--port", "1"], &["check-config"], &["key", "new", "--scope", "root"]]
    {
        let (code, stdout, stderr) = run(dropgate().args(arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains("error: "), "{stderr}");
    }
}

#[test]
fn check_config_says_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dropgate.toml");
    fs::write(&file, "[server]\nlisten = \"127.0.0.1:80\"\nshutdown = 3\n").unwrap();
    let (code, stdout, stderr) = run(dropgate().arg("check-config").arg(&file));
    assert_eq!((code, stdout.as_str()), (1, ""));
    let expected = format!("dropgate: {}:3: server.shutdown: unknown field `shutdown`", file.display());
    assert!(stderr.starts_with(&expected) && stderr.lines().count() == 1, "{stderr}");

    fs::write(&file, "[server]\nlisten = \"127.0.0.1:80\"\n").unwrap();
    let (code, stdout, stderr) = run(dropgate().arg("check-config").arg(&file));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let (code, _, stderr) = run(dropgate().arg("check-config").arg(folder.path().join("none.toml")));
    assert_eq!(code, 1);
    assert!(stderr.contains("none.toml: No such file"), "{stderr}");
}

#[test]
fn a_new_key_can_be_put_into_the_configuration_as_printed() {
    let (code, stdout, _) =
        run(dropgate().args(["key", "new", "--scope", "shop", "--scope", "read", "--name", "my \"shop\""]));
    assert_eq!(code, 0);
    let secret = stdout.lines().find_map(|line| line.strip_prefix("# dropgate_")).expect("the secret");
    assert!(secret.len() >= 43);
    let parsed: toml::Table = stdout.parse().unwrap();
    let key = &parsed["keys"][0];
    assert_eq!(key["name"].as_str(), Some("my \"shop\""));
    assert_eq!(key["scopes"].as_array().map(Vec::len), Some(2));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dropgate.toml");
    fs::write(&file, &stdout).unwrap();
    let (code, _, stderr) = run(dropgate().arg("check-config").arg(&file));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn apply_wants_a_key_and_rooms_before_it_calls_anyone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dropgate.toml");
    let apply = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = dropgate();
        command.args(["apply", "--url", "http://127.0.0.1:9", "--config"]).arg(&file);
        command
    };
    let room = "[[rooms]]\nid = \"main\"\nname = \"A\"\nshop_url = \"https://shop.example/\"\n";
    let (code, _, stderr) = run(&mut apply("[log]\nfilter = \"info\"\n"));
    assert_eq!(code, 2);
    assert!(stderr.contains("declares neither rooms nor sales"), "{stderr}");
    let (code, _, stderr) = run(&mut apply(room));
    assert_eq!(code, 2);
    assert!(stderr.contains("DROPGATE_ADMIN_KEY"), "{stderr}");
    let (code, _, stderr) =
        run(apply("[[sales]]\nid = \"drop\"\n").env("DROPGATE_ADMIN_KEY", "a-key-that-is-long-enough"));
    assert_eq!(code, 2);
    assert!(stderr.contains("dropgate.toml:1: sales[0]: missing field `name`"), "{stderr}");
    let (code, _, stderr) = run(apply(room).env("DROPGATE_ADMIN_KEY", "a-key-that-is-long-enough"));
    assert_eq!(code, 1, "nobody listens there");
    assert!(stderr.contains("http://127.0.0.1:9") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn serve_without_a_key_or_a_terminal_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = dropgate();
    serve.current_dir(folder.path()).args(["serve", "--listen", "127.0.0.1:0", "--store", "memory:"]);
    let (code, stdout, stderr) = run(&mut serve);
    assert_eq!((code, stdout.as_str()), (2, ""));
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("dropgate: there is no API key: set DROPGATE_ADMIN_KEY"), "{stderr}");
    assert!(!stderr.contains("dropgate_"), "no secret in a log: {stderr}");
}

#[test]
fn serve_tells_a_wrong_setting_from_a_taken_port() {
    let refused = |arguments: &[&str]| {
        let mut serve = dropgate();
        serve
            .env("DROPGATE_ADMIN_KEY", "a-key-that-is-long-enough")
            .args(["serve", "--store", "memory:"])
            .args(arguments);
        let (code, stdout, stderr) = run(&mut serve);
        assert_eq!(stdout, "");
        (code, stderr.lines().last().unwrap().to_owned())
    };
    let (code, line) = refused(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, 2);
    assert!(line.starts_with("dropgate: server.public_url: "), "{line}");
    let (code, line) = refused(&["--listen", "127.0.0.1:0", "--shop", "javascript:alert(1)"]);
    assert_eq!(code, 2);
    assert!(line.starts_with("dropgate: --shop: "), "{line}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, line) = refused(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(code, 1);
    assert!(line.contains("cannot listen on 127.0.0.1:"), "{line}");
}

#[tokio::test]
async fn a_shop_gets_a_room_once_and_an_operator_keeps_the_last_word() {
    let home = Home::on_file().with_argument("--shop").with_argument("https://shop.example/drop");
    let server = home.start();
    let (status, room) = server.admin(Method::GET, "/v1/rooms/main", None).await;
    assert_eq!((status, room["shop_url"].as_str()), (200, Some("https://shop.example/drop")));
    server.patch_room("main", json!({ "mode": "hold" })).await;
    assert_eq!(server.stop(), 0, "SIGTERM ends it well");
    let server = home.start();
    let (_, room) = server.admin(Method::GET, "/v1/rooms/main", None).await;
    assert_eq!(room["mode"], "hold", "a restart must not undo the operator's pause");
}

#[tokio::test]
async fn apply_creates_updates_and_says_what_changed() {
    let home = Home::in_memory();
    let server = home.start();
    let file = home.path("rooms.toml");
    let apply = |settings: &str| {
        fs::write(
            &file,
            format!("[[rooms]]\nid = \"drop\"\nname = \"Drop\"\nshop_url = \"https://shop.example/\"\n{settings}"),
        )
        .unwrap();
        let mut command = dropgate();
        command.env("DROPGATE_ADMIN_KEY", ADMIN_KEY).args(["apply", "--url", server.base(), "--config"]).arg(&file);
        run(&mut command)
    };
    assert_eq!(apply(""), (0, "room drop: created\n".to_owned(), String::new()));
    assert_eq!(apply("rate_per_minute = 600\n").1, "room drop: unchanged\n", "a default spelled out is the same");
    assert_eq!(apply("rate_per_minute = 900\n").1, "room drop: rate_per_minute: 600 → 900\n");
    let (_, room) = server.admin(Method::GET, "/v1/rooms/drop", None).await;
    assert_eq!(room["rate_per_minute"], 900);

    let key_file = home.path("key");
    fs::write(&key_file, "not-the-admin-key-at-all\n").unwrap();
    let mut wrong = dropgate();
    wrong.args(["apply", "--url", server.base(), "--config"]).arg(&file).arg("--key-file").arg(&key_file);
    let (code, _, stderr) = run(&mut wrong);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("dropgate: room drop: ") && stderr.contains("401"), "{stderr}");
}

#[tokio::test]
async fn the_public_keys_can_be_exported() {
    let (_home, server) = Server::fresh();
    let (code, stdout, stderr) = run(dropgate().args(["keys", "export", "--url", server.base()]));
    assert_eq!(code, 0, "{stderr}");
    let jwks: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| key["alg"] == "ES256" && key.get("d").is_none()), "{jwks}");
}
