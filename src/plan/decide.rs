//! What one event needs.
