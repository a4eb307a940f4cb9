//! What changed in a collection, and its bytes (RFC 6578; RFC 4791, 7.9).
