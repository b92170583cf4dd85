//! Child processes that never outlive their test, and whose output can be read while they run.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

/// A running child with its output so far. Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    output: Output,
}

/// Lines a process wrote, standard output and error together in the order they were read.
#[derive(Clone, Default)]
struct Output(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Process {
    /// Starts `command` with both outputs captured and no input.
    ///
    /// # Panics
    /// The program can't be started: a missing tool fails the test, it never skips it.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: can't start {program:?}: {error}. `scripts/test` installs it"));
        let output = Output::default();
        output.follow(child.stdout.take().unwrap());
        output.follow(child.stderr.take().unwrap());
        Self { name: name.to_owned(), child, output }
    }

    /// The rest of the first line, past or to come, that begins with `prefix`.
    ///
    /// # Panics
    /// The process ends or `patience` passes first.
    pub fn line_after(&mut self, prefix: &str, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(rest) = self.output.lines().iter().find_map(|line| line.strip_prefix(prefix)) {
                return rest.trim().to_owned();
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status} before it said `{prefix}`:\n{}", self.name, self.output());
            }
            assert!(Instant::now() < deadline, "{} never said `{prefix}`:\n{}", self.name, self.output());
            self.output.wait_for_more(Duration::from_millis(50));
        }
    }

    /// Everything written so far.
    pub fn output(&self) -> String {
        self.output.lines().join("\n")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// `kill -9`, and waits until the kernel has buried it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    /// `patience` passes first.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} still runs after {patience:?}:\n{}", self.name, self.output());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The log of a server is half of what one wants to see of a failed test.
        if thread::panicking() {
            eprintln!("--- {} wrote:\n{}\n---", self.name, self.output());
        }
    }
}

impl Output {
    fn follow(&self, stream: impl Read + Send + 'static) {
        let output = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                output.lines().push(line);
                output.0.1.notify_all();
            }
        });
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.0.lock().unwrap()
    }

    fn wait_for_more(&self, at_most: Duration) {
        drop(self.0.1.wait_timeout(self.lines(), at_most).unwrap());
    }
}
