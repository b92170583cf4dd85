//! Ports that stay one's own while nobody listens on them, as a server's must that is killed and comes back.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::Range,
};

use rand::Rng;

/// Below those the kernel takes for outgoing connections: one of them could take a dead server's port, or even,
/// calling that port, reach itself.
const PORTS: Range<u16> = 10_000..22_000;

/// The nodes of a cluster talk among each other this far above the port they serve.
const BUS_ABOVE: u16 = 10_000;

/// How many numbers are tried: hundreds may be taken, not nearly all.
const TRIES: usize = 1_000;

/// A claimed port. Free again when dropped.
pub struct Port {
    number: u16,
    /// What tells other tests that it is taken: the same number where nothing of ours ever listens.
    _claim: UdpSocket,
}

impl Port {
    /// Claims a port that nobody listens on.
    pub fn claim() -> Self {
        for _ in 0..TRIES {
            let number = rand::rng().random_range(PORTS);
            let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) else { continue };
            let free = |number| TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
            if free(number) && free(number + BUS_ABOVE) {
                return Self { number, _claim: claim };
            }
        }
        panic!("no port of {PORTS:?} is free");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.number)
    }
}
