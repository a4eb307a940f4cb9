//! A process that does what it is told, line by line, and answers each line with one of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::support::Result;
use crate::support::passes::Cost;

/// This program started again; it ends with this value.
pub(crate) struct Steps {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Steps {
    /// Starts it with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take();
        let answers = child.stdout.take().ok_or("a process without output")?;
        Ok(Self {
            child,
            ask,
            answers: BufReader::new(answers),
        })
    }

    /// Tells it to do something, and gives its answer as it is.
    pub(crate) fn tell(&mut self, what: &str) -> Result<String> {
        let ask = self.ask.as_mut().ok_or("a process without input")?;
        writeln!(ask, "{what}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line)
    }

    /// Lets it do something, and gives what that took.
    pub(crate) fn step(&mut self, what: &str) -> Result<Cost> {
        let line = self.tell(what)?;
        serde_json::from_str(&line).map_err(|_| format!("{what}: {line}").into())
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}

/// The other side: does what each line of the standard input says, and prints what `step` answers.
pub(crate) fn serve(mut step: impl FnMut(&str) -> Result<String>) -> Result<()> {
    for line in std::io::stdin().lines() {
        println!("{}", step(&line?)?);
    }
    Ok(())
}
