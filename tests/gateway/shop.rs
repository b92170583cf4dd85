//! A small shop that remembers what it was asked.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::header, web};

/// A request as the shop saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// All values of `X-Dropgate-Session`, as sent on by the gateway.
    pub sessions: Vec<String>,
    pub body: String,
}

/// A running shop. Stops when dropped.
pub struct Shop {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    handle: ServerHandle,
}

/// What the shop shares among its threads; `waiting` is where `/back` sends visitors.
#[derive(Clone)]
struct Counter {
    seen: Arc<Mutex<Vec<Seen>>>,
    waiting: String,
}

impl Shop {
    /// Opens a shop on a free port. Its path `/back` sends every visitor back to the waiting room at `waiting`.
    pub fn open(waiting: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let counter = web::Data::new(Counter { seen: Arc::clone(&seen), waiting: waiting.to_owned() });
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(counter.clone()).default_service(web::to(serve));
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { port, seen, handle: told.recv().unwrap() }
    }

    /// Everything asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The last thing asked.
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("nothing has reached the shop")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // The message is sent at once; nobody needs to wait for the end.
        drop(self.handle.stop(false));
    }
}

async fn serve(request: HttpRequest, counter: web::Data<Counter>, body: web::Bytes) -> HttpResponse {
    let sessions = request.headers().get_all("x-dropgate-session");
    counter.seen.lock().unwrap().push(Seen {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        sessions: sessions.map(|value| value.to_str().unwrap().to_owned()).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    match request.path() {
        "/back" => HttpResponse::Found().insert_header((header::LOCATION, counter.waiting.clone())).finish(),
        _ => HttpResponse::Ok().body("the shop"),
    }
}
