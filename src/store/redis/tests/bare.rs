//! Scripts on a real server, without anything between: one sender, one virtual clock.

use redis::{Connection, ConnectionLike};

use crate::{
    store::redis::{
        scripted::{Answer, Op, Scripted, Sender, Status, keys, preamble, source},
        testing::RedisServer,
        wire::Args,
    },
    time::UnixMs,
};

/// A server of one test, gone with it.
pub struct Server(RedisServer);

impl Server {
    pub fn start() -> Self {
        Self(RedisServer::start(&["--save", "", "--appendonly", "no"]))
    }

    pub fn connect(&self) -> Connection {
        redis::Client::open(("127.0.0.1", self.0.port())).unwrap().get_connection().unwrap()
    }
}

/// One sender's way to the scripts of one kind of aggregate.
pub struct Bare<A> {
    connection: Connection,
    script: redis::Script,
    pub instance: String,
    pub number: u64,
    pub term: u64,
    pub made: Option<String>,
    kind: std::marker::PhantomData<A>,
}

impl<A: Scripted> Bare<A> {
    pub fn new(server: &Server, instance: &str) -> Self {
        let script = redis::Script::new(&source::<A>().concat());
        let (connection, instance) = (server.connect(), instance.to_owned());
        Self { connection, script, instance, number: 0, term: 0, made: None, kind: std::marker::PhantomData }
    }

    /// Any call; the raw answer.
    pub fn call(&mut self, op: Op, id: &str, now: UnixMs, rest: Args) -> String {
        let sender = Sender {
            instance: &self.instance,
            number: self.number,
            met: self.term,
            made: self.made.as_deref(),
            reckoned: UnixMs(0),
            floor: UnixMs(0),
            adopts: false,
        };
        let mut args = preamble(op, Some(now), &sender);
        args.append(&rest);
        let mut call = self.script.prepare_invoke();
        keys::<A>(id).iter().for_each(|key| _ = call.key(key));
        call.arg(args.pack());
        call.invoke(&mut self.connection).unwrap()
    }

    /// A batch that has to be applied.
    pub fn batch(&mut self, id: &str, now: UnixMs, commands: &[A::Command]) -> A::Reply {
        self.number += 1;
        let mut args = Args::default();
        args.word(commands.len());
        commands.iter().for_each(|command| A::encode(command, &mut args));
        let text = self.call(Op::Batch, id, now, args);
        let answer = Answer::read(&text).unwrap();
        assert_eq!(answer.status, Status::Ok, "{text}");
        (self.term, self.made) = (answer.term, answer.made.map(str::to_owned));
        A::decode(&answer).unwrap()
    }

    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub fn flush(&mut self) {
        self.connection.req_command(redis::cmd("FLUSHALL").arg("SYNC")).unwrap();
    }
}
