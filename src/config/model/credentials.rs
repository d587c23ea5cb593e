//! What proves who we are: a user name, and where the password comes from.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// User name and password.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    /// User name. Empty: what is said as user name is the password, an access token, and no password beside it.
    pub username: String,
    /// Where the password comes from.
    pub password: Password,
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// It is this; never printed.
    Fixed(Secret),
    /// The output of a program with its arguments, fetched for each connection, and anew after the given time.
    Command(Vec<String>, Option<Duration>),
    /// What a file holds when a connection is made, and anew after the given time.
    File(PathBuf, Option<Duration>),
    /// A JSON Web Token signed by us.
    Jwt {
        /// RSA or P-256 key, PEM in PKCS #8.
        key_file: PathBuf,
        /// `aud`.
        audience: String,
        /// From `iat` to `exp`.
        lifetime: Duration,
    },
    /// A shared access signature.
    Sas {
        /// The shared key.
        key: Secret,
        /// `sr`, not yet percent-encoded.
        resource: String,
        /// `skn`.
        policy: Option<String>,
        /// From now to `se`.
        lifetime: Duration,
    },
}

/// A text that must not reach a log line: its `Debug` prints stars.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
