//! Access tokens by a refresh token (RFC 6749, section 6).
