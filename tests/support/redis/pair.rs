//! A primary with one replica that hears of writes after they are answered, behind one address: what most people run.

use super::{proxy::Proxy, server::Redis};

/// Both servers and the address that leads to whichever is the primary.
pub struct Pair {
    primary: Redis,
    replica: Redis,
    proxy: Proxy,
}

impl Pair {
    /// Starts both with these arguments; the replica is in sync when this returns.
    pub fn start(arguments: &[&str]) -> Self {
        let (primary, replica) = (Redis::start(arguments), Redis::start(arguments));
        replica.replicate(&primary);
        let proxy = Proxy::to(&primary.address());
        Self { primary, replica, proxy }
    }

    /// What Dropgate is told: leads to the primary, through the proxy.
    pub fn url(&self) -> String {
        self.proxy.url()
    }

    /// Who is the primary now.
    pub fn primary(&self) -> &Redis {
        &self.primary
    }

    /// The other one, dead after a failover.
    pub fn replica(&self) -> &Redis {
        &self.replica
    }

    /// The way to the primary.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// From here on the replica hears of no write: the next [`Pair::fail_over`] forgets them all.
    ///
    /// A stopped process is not enough, because what is in its socket waits for it and would be read when it goes on;
    /// the primary has to hang up too.
    pub fn forget_from_now(&self) {
        self.replica.pause();
        let hung_up = self.primary.cli(&["CLIENT", "KILL", "TYPE", "replica"]);
        assert_eq!(hung_up, "1", "there was no replica to forget anything");
    }

    /// Kills the primary and promotes the replica; the address leads there. The dead one is the replica from now on.
    pub fn fail_over(&mut self) {
        self.primary.kill();
        self.replica.resume();
        self.replica.promote();
        std::mem::swap(&mut self.primary, &mut self.replica);
        self.proxy.retarget(&self.primary.address());
        self.proxy.cut();
    }

    /// Brings the killed server back as a replica of the other; in sync when this returns.
    pub fn mend(&mut self) {
        self.replica.restart();
        self.replica.replicate(&self.primary);
    }

    /// Changes the two around while both live, as an operator does. What the old primary answered last may be lost.
    pub fn switch_over(&mut self) {
        self.replica.promote();
        std::mem::swap(&mut self.primary, &mut self.replica);
        self.proxy.retarget(&self.primary.address());
        self.proxy.cut();
        self.replica.replicate(&self.primary);
    }
}
