//! Where secrets come from: files, commands, systemd credentials. Redaction is by type.
