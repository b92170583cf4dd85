//! The proxy: each trouble it makes, as a client sees it.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::redis::{poll_until, proxy::Proxy, server::Redis};

/// Long enough for an answer that comes, short enough to wait for one that doesn't.
const NO_ANSWER: Duration = Duration::from_millis(200);

/// A client that sends what it is told and sees what comes.
struct Client(TcpStream);

impl Client {
    fn of(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(stream)
    }

    fn send(&mut self, command: &str) {
        self.0.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    }

    /// What comes next; empty if the connection was closed.
    fn read(&mut self) -> String {
        let mut buffer = [0; 1024];
        match self.0.read(&mut buffer) {
            Ok(read) => String::from_utf8_lossy(&buffer[..read]).trim().to_owned(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    fn ask(&mut self, command: &str) -> String {
        self.send(command);
        self.read()
    }

    fn hears_nothing(&mut self) -> bool {
        self.0.set_read_timeout(Some(NO_ANSWER)).unwrap();
        let heard = self.0.read(&mut [0]);
        self.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

fn server_and_proxy() -> (Redis, Proxy) {
    let server = Redis::start(&[]);
    let proxy = Proxy::to(&server.address());
    (server, proxy)
}

#[test]
fn it_forwards_and_counts() {
    let (_server, proxy) = server_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("PING"), "+PONG");
    assert_eq!(client.ask("SET a 1"), "+OK");
    assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
    poll_until(
        "the bytes are counted",
        || (proxy.bytes_to_server(), proxy.bytes_to_client()),
        |seen| *seen == (15, 12),
    );
    drop(client);
    poll_until("a client's end is noticed", || proxy.open(), |open| *open == 0);
}

#[test]
fn a_reply_is_cut_off_and_its_request_was_carried_out() {
    let (server, proxy) = server_and_proxy();
    proxy.cut_before_reply_to("INCR", 2);
    for count in 1..=2 {
        let mut client = Client::of(&proxy);
        assert_eq!(client.ask("PING"), "+PONG", "not what is meant");
        assert_eq!(client.ask("INCR a"), "");
        assert_eq!(server.cli(&["GET", "a"]), count.to_string());
    }
    assert_eq!(proxy.cuts_left(), 0);
    assert_eq!(Client::of(&proxy).ask("INCR a"), ":3");
    proxy.cut_before_reply(1);
    assert_eq!(Client::of(&proxy).ask("PING"), "");
}

#[test]
fn what_is_open_is_cut_and_what_comes_next_is_not() {
    let (_server, proxy) = server_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("PING"), "+PONG");
    proxy.cut();
    assert_eq!(client.read(), "");
    assert_eq!(Client::of(&proxy).ask("PING"), "+PONG");
}

#[test]
fn replies_come_late() {
    let (_server, proxy) = server_and_proxy();
    proxy.delay(NO_ANSWER);
    let began = Instant::now();
    assert_eq!(Client::of(&proxy).ask("PING"), "+PONG");
    assert!(began.elapsed() >= NO_ANSWER);
}

#[test]
fn a_half_closed_connection_still_carries_requests() {
    let (server, proxy) = server_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("PING"), "+PONG");
    proxy.half_close();
    assert_eq!(client.read(), "");
    client.send("SET a 1");
    poll_until("the request arrives", || server.cli(&["GET", "a"]), |a| a == "1");
}

#[test]
fn a_black_hole_takes_everything_and_answers_nothing() {
    let (server, proxy) = server_and_proxy();
    let mut before = Client::of(&proxy);
    assert_eq!(before.ask("PING"), "+PONG");
    proxy.blackhole();
    let mut during = Client::of(&proxy);
    for client in [&mut before, &mut during] {
        client.send("SET a 1");
        assert!(client.hears_nothing());
    }
    assert_eq!(server.cli(&["GET", "a"]), "");
    proxy.resume();
    assert_eq!((before.read(), during.read()), (String::new(), String::new()));
    assert_eq!(Client::of(&proxy).ask("GET a"), "$-1");
}

#[test]
fn a_refusing_proxy_comes_back_at_the_same_address() {
    let (_server, proxy) = server_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("PING"), "+PONG");
    proxy.refuse();
    assert_eq!(client.read(), "");
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.resume();
    assert_eq!(Client::of(&proxy).ask("PING"), "+PONG");
}

#[test]
fn its_way_leads_to_another_server() {
    let (first, proxy) = server_and_proxy();
    let second = Redis::start(&[]);
    let mut old = Client::of(&proxy);
    assert_eq!(old.ask("SET a first"), "+OK");
    second.cli(&["SET", "a", "second"]);
    proxy.retarget(&second.address());
    assert!(Client::of(&proxy).ask("GET a").ends_with("second"));
    assert!(old.ask("GET a").ends_with("first"), "what is open stays");
    proxy.retarget(&first.address());
    assert!(Client::of(&proxy).ask("GET a").ends_with("first"));
}
