//! The rules by which an event gets a link (DESIGN.md section 6, "Which events get a link").
