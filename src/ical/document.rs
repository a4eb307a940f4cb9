//! Bytes → logical content lines with their byte ranges → components.
