//! Tables on the pure parts: requests and answers of the Calendar API.
