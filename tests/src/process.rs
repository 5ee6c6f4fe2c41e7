//! Helper processes that never outlive the one that started them.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::repository;

/// A port of the loopback interface that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A program of the Python environment.
pub fn tool(name: &str) -> PathBuf {
    let path = repository().join(".venv/bin").join(name);
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

/// A process that ends when this value is dropped, and also when the process that holds it dies in any way.
#[derive(Debug)]
pub struct Helper {
    // Closing its standard input is what ends it.
    child: Child,
}

impl Helper {
    /// Starts a command under a shell that waits for the end of its standard input and then kills it.
    pub fn start(command: &Command) -> Self {
        // Ctrl-C reaches the shell, too, and the command may be deaf to it: the shell has to outlive it.
        let script = r#"trap : INT HUP TERM
            "$@" </dev/null & child=$!; read -r _ || true; kill -9 "$child" 2>/dev/null; wait "$child" 2>/dev/null"#;
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg("helper").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
        Self { child }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A process whose output is kept, and which can be killed outright.
#[derive(Debug)]
pub struct Watched {
    child: Mutex<Child>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let readers: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for reader in readers {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    lines.lock().expect("no thread panics with it").push(line);
                }
            });
        }
        Self { child: Mutex::new(child), lines }
    }

    /// What it has written so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no thread panics with it").clone()
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(&self) {
        let mut child = self.child.lock().expect("no thread panics with it");
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        matches!(self.child.lock().expect("no thread panics with it").try_wait(), Ok(None))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until somebody listens on a port.
pub fn wait_for_port(port: u16, what: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "{what} does not listen on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
