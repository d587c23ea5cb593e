//! Tests of the page over a real socket.
