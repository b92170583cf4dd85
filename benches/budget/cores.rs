//! Which cores the server gets and which the sender: apart, as where the crowd's phones are not the server's machine, or
//! all of them for both.

use std::time::Instant;

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use super::server::Server;

/// Where server and sender run.
#[derive(Clone, Copy)]
pub struct Cores {
    server: CpuSet,
    sender: CpuSet,
    all: CpuSet,
}

impl Cores {
    /// Both on all cores.
    pub fn shared() -> Self {
        let all = own();
        Self { server: all, sender: all, all }
    }

    /// Half of the cores for each; none where there is but one.
    pub fn apart() -> Option<Self> {
        let all = own();
        let each = members(&all);
        let (sender, server) = each.split_at(each.len() / 2);
        (!sender.is_empty()).then(|| Self { server: set(server), sender: set(sender), all })
    }

    /// Does something, and says how much of its cores the server used meanwhile.
    pub fn busy<T>(&self, server: &Server, act: impl FnOnce() -> T) -> (T, f64) {
        let (cpu, began) = (server.cpu(), Instant::now());
        let done = act();
        let time = began.elapsed().as_secs_f64() * members(&self.server).len() as f64;
        (done, (server.cpu() - cpu).as_secs_f64() / time)
    }

    /// Starts a server on its cores: a process has those of the thread that starts it, and as many workers as cores.
    pub fn serve<T>(&self, start: impl FnOnce() -> T) -> T {
        self.within(&self.server, start)
    }

    /// Sends from the sender's cores.
    pub fn send<T>(&self, send: impl FnOnce() -> T) -> T {
        self.within(&self.sender, send)
    }

    fn within<T>(&self, cores: &CpuSet, work: impl FnOnce() -> T) -> T {
        take(cores);
        let done = work();
        take(&self.all);
        done
    }
}

fn own() -> CpuSet {
    sched_getaffinity(Pid::from_raw(0)).expect("the kernel says which cores a thread may have")
}

fn members(cores: &CpuSet) -> Vec<usize> {
    (0..CpuSet::count()).filter(|core| cores.is_set(*core).unwrap_or_default()).collect()
}

fn take(cores: &CpuSet) {
    sched_setaffinity(Pid::from_raw(0), cores).expect("a thread may keep to some of its cores");
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core).expect("it was in a set"));
    set
}
