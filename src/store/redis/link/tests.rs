mod away;
mod cluster;
mod fit;
mod secure;
mod sentinel;
mod single;

use std::{sync::LazyLock, time::Duration};

use super::*;
use crate::store::redis::testing::{RedisServer, eventually, followed_by, free_port, url};

/// Appends to a list and tells what stands in it, or says an error where it is asked to.
static APPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        "if ARGV[1] == 'fail' then return redis.error_reply('ERR asked to') end",
        "if ARGV[1] == 'other' then redis.call('HSET', KEYS[1], 'a', 'b') end",
        "redis.call('RPUSH', KEYS[1], ARGV[1])",
        "return table.concat(redis.call('LRANGE', KEYS[1], 0, -1), ',')",
    ])
});

fn options() -> LinkOptions {
    LinkOptions {
        password: None,
        ca_file: None,
        durability: Durability::None,
        connections: 4,
        // More than a machine that runs many tests at once keeps anyone waiting.
        connect_timeout: Duration::from_secs(3),
        call_timeout: Duration::from_secs(2),
        metrics: Arc::new(Metrics::new()),
    }
}

async fn open(url: &RedisUrl) -> Link {
    Link::open(url, options()).await.unwrap()
}

/// For tests that wait until patience ends.
fn impatient() -> LinkOptions {
    let timeout = Duration::from_millis(500);
    LinkOptions { connect_timeout: timeout, call_timeout: timeout, ..options() }
}

async fn refusal(url: &RedisUrl, options: LinkOptions) -> String {
    match Link::open(url, options).await {
        Ok(_) => panic!("{url} is fit"),
        Err(error) => error.to_string(),
    }
}

async fn append(link: &Link, key: &str, text: &str) -> Result<String, CallError> {
    let reply = link.call(&APPEND, &[key.to_owned()], vec![text.as_bytes().to_vec()]).await;
    reply.map(|reply| String::from_utf8(reply).unwrap())
}

/// Calls until it works, and tells how long that took and what different things were said meanwhile.
async fn until_it_works(link: &Link, key: &str, text: &str) -> (Duration, Vec<CallError>) {
    let (start, mut said) = (Instant::now(), Vec::new());
    loop {
        match append(link, key, text).await {
            Ok(_) => return (start.elapsed(), said),
            Err(error) if said.contains(&error) => {}
            Err(error) => said.push(error),
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{said:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// All that was said is that nothing was sent; but for one call that may have come before the link heard of the cut.
fn certain(said: &[CallError]) {
    let unclear = said.iter().filter(|error| !matches!(error, CallError::NotSent(_))).count();
    assert!(unclear <= 1, "{said:?}");
}
