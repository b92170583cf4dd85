//! The yardstick: an actix-web handler that does nothing but answer.

use std::{fs, io, path::Path, rc::Rc};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
    web::{self, Bytes},
};
use serde::{Deserialize, Serialize};

/// An answer to be given again and again.
#[derive(Clone, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Serves the answer in `file` on a free port, with as many workers as Dropgate has, until killed.
pub async fn serve(file: &Path) -> io::Result<()> {
    let answer: Answer = serde_json::from_slice(&fs::read(file)?)?;
    let status = StatusCode::from_u16(answer.status).map_err(io::Error::other)?;
    let body = Bytes::from(answer.body);
    let mut headers = Vec::new();
    for (name, value) in &answer.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(io::Error::other)?;
        headers.push((name, HeaderValue::from_str(value).map_err(io::Error::other)?));
    }
    let server = HttpServer::new(move || {
        let (headers, body) = (Rc::<[_]>::from(headers.clone()), body.clone());
        // The request's body is read, because ours reads it too.
        let handler = move |_request_body: Bytes| {
            let (headers, body) = (Rc::clone(&headers), body.clone());
            async move {
                let mut response = HttpResponse::build(status);
                for (name, value) in headers.iter() {
                    response.append_header((name.clone(), value.clone()));
                }
                response.body(body)
            }
        };
        App::new().default_service(web::to(handler))
    })
    .bind("127.0.0.1:0")?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await
}
