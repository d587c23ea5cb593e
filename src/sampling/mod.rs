//! sampling (being written)
