//! Promise 8.
