//! When an account is looked at.
