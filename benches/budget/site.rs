//! A server and, where it has one, its Redis: what is measured together.

use std::time::Duration;

use super::{
    load::{Ask, Sample},
    redis::Redis,
    sender::{Stream, send},
    server::Server,
};

/// A server on an empty store of its own.
pub struct Site {
    // Before its store, so that it ends first.
    pub server: Server,
    pub redis: Option<Redis>,
}

impl Site {
    /// On a store in memory.
    pub fn in_memory() -> Self {
        Self { server: Server::in_memory(), redis: None }
    }

    /// On a Redis of its own.
    pub fn on_redis() -> Self {
        let redis = Redis::start();
        Self { server: Server::on_redis(&redis.url()), redis: Some(redis) }
    }

    /// Where its rooms and sales live, in words.
    pub fn store(&self) -> &'static str {
        if self.redis.is_some() { "with Redis" } else { "in memory" }
    }

    /// Asks for `each`, and counts what it cost the server and Redis.
    pub fn measure(&self, ask: &Ask, each: Duration) -> Sample {
        self.spent(|| ask.measure(&self.server, each))
    }

    /// Sends requests whose number is known before, as many at once as there are connections, and counts what they cost.
    pub fn count(&self, stream: Stream<'_>) -> Sample {
        self.spent(|| {
            let cpu = self.server.cpu();
            let arrivals = send(self.server.address(), &mut [stream]).remove(0);
            let cpu_us = (self.server.cpu() - cpu).as_secs_f64() * 1e6 / arrivals.answered.len() as f64;
            let (per_second, seconds) = (arrivals.per_second(), arrivals.took.as_secs_f64());
            Sample { per_second, seconds, cpu_us, ..Sample::default() }
        })
    }

    /// What `act` cost Redis, put into its sample.
    pub fn spent(&self, act: impl FnOnce() -> Sample) -> Sample {
        let Some(redis) = &self.redis else { return act() };
        let (cpu, calls) = (redis.cpu(), redis.script_calls());
        let sample = act();
        let requests = sample.per_second * sample.seconds;
        let redis_us = (redis.cpu() - cpu).as_secs_f64() * 1e6 / requests;
        Sample { redis_us, redis_calls: (redis.script_calls() - calls) / requests, ..sample }
    }
}
