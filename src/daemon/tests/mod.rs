//! Wiring that can be tried without a process of its own; the rest is in tests/.

mod clock;
mod latest;
