//! The join block: the fenced text at the end of DESCRIPTION.

/// What the join block contains beside the URL, each only if Graph gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Show {
    /// The meeting's id.
    MeetingId,
    /// Its passcode.
    Passcode,
    /// Toll numbers with the conference id.
    TollNumbers,
    /// Toll-free numbers with the conference id.
    TollFreeNumbers,
    /// The page of local numbers.
    DialinUrl,
    /// The id that a video-conference device dials.
    VideoDeviceId,
    /// The meeting's chat.
    Chat,
    /// The meeting's options page.
    Options,
}

impl Show {
    /// What is shown unless configured: all but chat and options.
    pub const DEFAULT: [Self; 6] = [
        Self::MeetingId,
        Self::Passcode,
        Self::TollNumbers,
        Self::TollFreeNumbers,
        Self::DialinUrl,
        Self::VideoDeviceId,
    ];
}
