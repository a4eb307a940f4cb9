//! What is learned of a server from its behaviour.
