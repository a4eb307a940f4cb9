//! WebDAV bodies: requests out, multistatus answers in (RFC 4918, 13).
