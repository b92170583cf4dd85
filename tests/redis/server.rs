//! A single server: what it keeps, what it forgets, and when it does not answer.

use crate::support::redis::server::{Redis, SYNCED};

#[test]
fn a_killed_server_comes_back_where_it_was_with_what_it_wrote_down() {
    for (arguments, kept) in [(SYNCED, "1"), (&[], "")] {
        let mut server = Redis::start(arguments);
        server.cli(&["SET", "a", "1"]);
        let url = server.url();
        server.kill();
        assert!(!server.is_alive());
        let refused = server.try_cli(&["GET", "a"]).unwrap_err();
        assert!(refused.contains("refused"), "{refused}");
        server.restart();
        assert_eq!((server.url(), server.cli(&["GET", "a"]).as_str()), (url, kept));
    }
}

#[test]
fn a_stopped_server_answers_when_it_goes_on() {
    let server = Redis::start(&[]);
    server.pause();
    let mut asked = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut asked, b"PING\r\n").unwrap();
    asked.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let mut answer = [0; 7];
    assert!(std::io::Read::read(&mut asked, &mut answer).is_err());
    server.resume();
    asked.set_read_timeout(None).unwrap();
    std::io::Read::read_exact(&mut asked, &mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn what_it_was_asked_is_counted_by_command() {
    let server = Redis::start(&[]);
    server.cli(&["CONFIG", "RESETSTAT"]);
    for _ in 0..3 {
        server.cli(&["SET", "a", "1"]);
    }
    server.cli(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "a"]);
    let stats = server.commandstats();
    assert_eq!((stats.get("set"), stats.get("eval"), stats.get("get")), (Some(&3), Some(&1), Some(&1)), "{stats:?}");
    assert_eq!(stats.get("hset"), None);
}

#[test]
fn an_answer_is_text_and_a_refusal_is_told() {
    let server = Redis::start(&[]);
    assert_eq!(server.cli(&["GET", "nothing"]), "");
    server.cli(&["RPUSH", "list", "a", "b"]);
    assert_eq!(server.cli(&["LRANGE", "list", "0", "-1"]), "a\nb");
    assert!(server.try_cli(&["GET", "list"]).unwrap_err().contains("WRONGTYPE"));
    assert!(server.info("no_such_field").is_err());
    assert!(server.is_primary());
}

#[test]
fn it_is_gone_with_its_folder_when_the_test_is() {
    let (id, dir) = std::panic::catch_unwind(|| {
        let server = Redis::start(&[]);
        let found = (server.info("process_id").unwrap(), server.dir().to_owned());
        assert!(found.1.exists());
        std::panic::panic_any(found);
    })
    .unwrap_err()
    .downcast_ref::<(String, std::path::PathBuf)>()
    .cloned()
    .unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists() && !dir.exists());
}
