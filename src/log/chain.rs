//! An error with its causes on one line.

use std::error::Error;
use std::fmt;

use crate::model::Escaped;

/// Shows an error and its causes, joined by `: `, without control characters. A cause whose text the
/// error has already said is not said twice.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        write!(f, "{}", Escaped(&said))?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {}", Escaped(&text))?;
            }
            said = text;
            cause = error.source();
        }
        Ok(())
    }
}
