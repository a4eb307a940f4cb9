//! From a URL to the calendars of an account (RFC 6764, RFC 4791, 6.2).
