//! A shop of one page behind the gate: remembers what it was asked for.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// A running shop. Ends with the test's process.
pub struct Shop {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    asked: Vec<String>,
    sends_back_to: Option<String>,
}

impl Shop {
    /// Opens a shop on a free port.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    /// Its address, with a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on every visitor is redirected there, as a misconfigured gate would.
    pub fn send_back_to(&self, url: &str) {
        self.state.lock().unwrap().sends_back_to = Some(url.to_owned());
    }

    /// The paths with queries it was asked for so far, icons left out.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    // A browser opens connections on suspicion; none of them may hold a thread for long.
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(path) = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)) else { return };
    for _ in lines.by_ref().take_while(|line| !line.is_empty()) {}
    let mut state = state.lock().unwrap();
    let answer = if path == "/favicon.ico" {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    } else if let Some(back) = &state.sends_back_to {
        format!("HTTP/1.1 302 Found\r\nLocation: {back}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    } else {
        let page = "<!doctype html><title>The shop</title><link rel=icon href=data:,><h1 id=shop>Welcome in</h1>";
        let length = page.len();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
        )
    };
    if path != "/favicon.ico" {
        state.asked.push(path);
    }
    drop(state);
    // A browser that went away has what it wanted.
    let _ = stream.write_all(answer.as_bytes());
}
