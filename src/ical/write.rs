//! Which lines a link consists of (DESIGN.md section 6, "What is written").

/// What goes into an absent or empty LOCATION.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// The join URL.
    #[default]
    Url,
    /// The words "Microsoft Teams Meeting".
    Label,
    /// Nothing.
    Never,
}
