//! filter (being written)
