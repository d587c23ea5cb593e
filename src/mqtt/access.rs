//! User name and password for one connection: those of the configuration, or a token fetched now. A token is good
//! for a time; the connection is renewed before that ends. Signs nothing itself (`token` does).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::failure::Failure;
use super::token;
use crate::config::{Credentials, Mqtt, Password, Secret};

/// A program that prints a token has this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than MQTT can carry as a password (16 bits of length).
const LARGEST: u64 = 65_535;

/// What lets one connection in.
#[derive(Debug)]
pub(crate) struct Access {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
    /// When to renew the connection.
    pub until: Option<Instant>,
}

/// User name and password for a connection that is made now; `None` where the configuration has none.
pub(crate) async fn fetch(config: &Mqtt) -> Result<Option<Access>, Failure> {
    let Some(Credentials { username, password }) = &config.credentials else { return Ok(None) };
    let begun = Instant::now();
    let later = |refresh: &Option<Duration>| refresh.map(|refresh| begun + refresh);
    // Four fifths: time for many attempts, should the next token not be had at once.
    let before = |lifetime: &Duration| Some(begun + *lifetime * 4 / 5);
    let (text, until) = match password {
        Password::Fixed(text) => (text.0.clone(), None),
        Password::Command(words, refresh) => (output(words, PATIENCE).await?, later(refresh)),
        Password::File(path, refresh) => {
            let text = held(path).map_err(|error| Failure::Token(format!("{}: {error}", path.display())))?;
            (text, later(refresh))
        }
        Password::Jwt { key_file, audience, lifetime } => {
            (token::jwt(key_file, audience, *lifetime)?, before(lifetime))
        }
        Password::Sas { key, resource, policy, lifetime } => {
            (token::sas(key, resource, policy.as_deref(), *lifetime)?, before(lifetime))
        }
    };
    let text = match password {
        Password::Fixed(_) => text,
        _ => token_in(&text)?,
    };
    let (username, password) = match username.as_str() {
        "" => (text, String::new()),
        name => (name.to_owned(), text),
    };
    Ok(Some(Access { username, password: Secret(password), until }))
}

/// What a file holds, as far as a password goes; /dev/zero holds more.
fn held(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    match text.len() as u64 > LARGEST {
        true => Err(io::Error::other("more than a password can be")),
        false => Ok(text),
    }
}

/// Whether a variable is the bridge's own: a password of the configuration, or systemd's word to the service. Credentials
/// are not, since what the program proves itself with may be one.
fn is_ours(name: &str) -> bool {
    const SYSTEMD: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];
    name.starts_with("SENSOR_BRIDGE") || SYSTEMD.contains(&name)
}

/// The token in a program's output or a file: one line.
fn token_in(text: &str) -> Result<String, Failure> {
    let token = text.trim();
    match token {
        "" => Err(Failure::Token("it is empty".to_owned())),
        token if token.contains(['\n', '\0']) => Err(Failure::Token("it is more than one line".to_owned())),
        token => Ok(token.to_owned()),
    }
}

/// What a program prints.
async fn output(words: &[String], patience: Duration) -> Result<String, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::Token("no program".to_owned()));
    };
    let failed = |why: String| Failure::Token(format!("{program}: {why}"));
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it complains of stands in the journal beside our own words.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let Some(pipe) = child.stdout.take() else { return Err(failed("has no output".to_owned())) };
    let run = async {
        let mut text = Vec::new();
        pipe.take(LARGEST + 1).read_to_end(&mut text).await?;
        Ok((text, child.wait().await?))
    };
    let (text, status) = match timeout(patience, run).await {
        Ok(Ok(done)) => done,
        Ok(Err::<_, io::Error>(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("no answer within {} s", patience.as_secs_f64()))),
    };
    // First: a program whose output is cut off ends with a signal, which would say less.
    if text.len() as u64 > LARGEST {
        return Err(failed("prints more than a password can be".to_owned()));
    }
    if !status.success() {
        return Err(failed(format!("ended with {status}")));
    }
    String::from_utf8(text).map_err(|_| failed("prints no text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn programs_that_give_no_token_are_told_apart() {
        let failure = |words: &[String]| {
            let output = block(output(words, Duration::from_millis(300)));
            output.and_then(|text| token_in(&text)).unwrap_err().to_string()
        };
        for (script, expected) in [
            ("exit 3", "ended with exit status: 3"),
            ("true", "empty"),
            ("echo a; echo b", "more than one line"),
            ("sleep 60", "no answer within 0.3 s"),
            ("cat /dev/zero", "more than a password can be"),
            ("head -c 70000 /dev/zero | tr '\\0' x", "more than a password can be"),
            ("printf '\\377\\376'", "no text"),
        ] {
            let failure = failure(&sh(script));
            assert!(failure.contains(expected) && failure.contains("mqtt.token"), "{script}: {failure}");
        }
        assert!(failure(&["/no/such/program".to_owned()]).contains("No such file"));
        assert!(
            held(Path::new("/dev/zero")).unwrap_err().to_string().contains("more than a password can be")
        );
        assert_eq!(token_in(&block(output(&sh("echo ' ey.x.y '"), PATIENCE)).unwrap()).unwrap(), "ey.x.y");
    }
}
