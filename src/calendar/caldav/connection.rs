//! Requests of one account.
