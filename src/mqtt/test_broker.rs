//! A mosquitto of a test's own.
