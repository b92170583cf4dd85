//! Several instances of one installation.

use reqwest::Method;
use serde_json::Value;

use crate::support::{
    SOON, eventually,
    server::{Home, Server},
};

/// Instances that share a store, and die with this.
pub struct Fleet {
    servers: Vec<Server>,
    home: Home,
}

impl Fleet {
    /// Starts so many on the store at `url`.
    pub fn start(url: &str, count: usize) -> Self {
        let home = Home::at(url);
        Self { servers: (0..count).map(|_| home.start()).collect(), home }
    }

    /// What they were told as `--store`.
    pub fn store_url(&self) -> String {
        self.home.store_url()
    }

    /// Those that live.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The addresses of those that live.
    pub fn bases(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.base().to_owned()).collect()
    }

    /// Makes the room `main` through the first; all know it when this returns.
    pub async fn put_room(&self, settings: Value) {
        self.servers[0].put_room("main", settings).await;
        self.all_know("/v1/rooms/main").await;
    }

    /// Waits until each of them knows what is there.
    pub async fn all_know(&self, path: &str) {
        for server in &self.servers {
            eventually(&format!("{} knows {path}", server.base()), SOON, async || {
                let (status, answer) = server.admin(Method::GET, path, None).await;
                if status == 200 { Ok(()) } else { Err(answer) }
            })
            .await;
        }
    }

    /// `kill -9` of one of them.
    pub fn kill(&mut self, place: usize) {
        self.servers.remove(place).process().kill();
    }

    /// Ends them in order.
    pub fn stop(self) {
        for server in self.servers {
            assert_eq!(server.stop(), 0);
        }
    }
}
