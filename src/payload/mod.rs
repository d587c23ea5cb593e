//! payload (being written)
