//! The clock and the random numbers of a real machine.
