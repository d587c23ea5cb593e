//! Credentials that soon are no good any more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Credentials, Password};

/// A token that is good for a quarter of a second, from a program that counts how often it is asked: by the lines of the
/// file in this folder.
pub fn fleeting(folder: &Path) -> (Option<Credentials>, PathBuf) {
    let asked = folder.join("asked");
    let script = format!("echo asked >>{}; echo token", asked.display());
    let words = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let password = Password::Command(words, Some(Duration::from_millis(250)));
    (Some(Credentials { username: "pi".to_owned(), password }), asked)
}
