//! A person's calendar client, written by others: the Python `caldav` package, by `tests/servers/client.py`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::Value;

use super::{Server, User};

/// A session of one user. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    pub(crate) fn new(server: &Server, user: User) -> Self {
        let mut child = super::script("client.py")
            .args(["--url", &server.url(), "--username", user.name, "session"])
            .env("CALDAV_PASSWORD", user.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the environment's Python starts");
        Self {
            ask: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// What a command finds.
    ///
    /// # Errors
    /// In the client's words.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<Value, String> {
        writeln!(self.ask, "{}", Value::from(words)).expect("the client listens");
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the client answers");
        let answer: Value = serde_json::from_str(&line).expect("the client's answer");
        match &answer["error"] {
            Value::Null => Ok(answer),
            error => Err(error.to_string()),
        }
    }

    /// What a command finds; it must go well.
    #[track_caller]
    pub(crate) fn must(&mut self, words: &[&str]) -> Value {
        let answer = self.ask(words);
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
