//! One conditional PUT.
