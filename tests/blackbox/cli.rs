//! The command line: exit codes, and one clear line of what is wrong.

use std::{
    fs,
    process::{Command, Output},
};

use crate::support::server::dropgate;

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
    assert!(stderr.contains("declares no rooms"), "{stderr}");
    let (code, _, stderr) = run(&mut apply(room));
    assert_eq!(code, 2);
    assert!(stderr.contains("DROPGATE_ADMIN_KEY"), "{stderr}");
    let (code, _, stderr) =
        run(apply("[[sales]]\nid = \"drop\"\n").env("DROPGATE_ADMIN_KEY", "a-key-that-is-long-enough"));
    assert_eq!(code, 2);
    assert!(stderr.contains("sales are not in this version"), "{stderr}");
    let (code, _, stderr) = run(apply(room).env("DROPGATE_ADMIN_KEY", "a-key-that-is-long-enough"));
    assert_eq!(code, 1, "nobody listens there");
    assert!(stderr.contains("http://127.0.0.1:9") && stderr.lines().count() == 1, "{stderr}");
}
