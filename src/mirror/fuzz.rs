//! Messages of others out of any bytes, for `crate::fuzz`.

pub(crate) use super::csv::fuzz::message;
