//! Section `web`.

use super::*;

#[test]
fn web_pages() {
    let example = "for example \"127.0.0.1:8480\"";
    expect_in(
        "web",
        &[
            ("", "listen: is missing; write, for example, `listen: 127.0.0.1:8480`"),
            (
                "listen: \"8480\"",
                "listen: \"8480\" is no address to listen on; write \"127.0.0.1:8480\" for this machine only, or \
                 \"0.0.0.0:8480\" for the network",
            ),
            ("listen: \"::1\"", "listen: \"::1\" is no address to listen on; add a port: \"[::1]:8480\""),
            (
                "listen: \"http://0.0.0.0:80\"",
                &format!(
                    "listen: \"http://0.0.0.0:80\" is no address to listen on; write address and port only, {example}"
                ),
            ),
            (
                "listen: \"127.0.0.1:84800\"",
                &format!(
                    "listen: \"127.0.0.1:84800\" is no address to listen on; write an IP address and a port, {example}"
                ),
            ),
            (
                "listen: \"127.0.0.1:1\", hosts: [\"https://x\"]",
                "hosts[0]: \"https://x\" is no host name; write it without scheme and port, for example \"pi.example.org\"",
            ),
            (
                "listen: \"[::]:80\", password: geheim",
                "password: the password must have at least 8 characters",
            ),
        ],
    );
    let mut table = Table::default();
    for address in ["0.0.0.0:80", "[::]:80", "192.168.0.7:80", "[::ffff:10.0.0.1]:80"] {
        table.row(
            &format!("web: {{listen: \"{address}\"}}\n{SENSOR}"),
            &format!(
                "line 1: web: a password is missing: {address} can be reached from the network; put a password into a \
                 file and name it with `password_file`, or listen on 127.0.0.1:80 for this machine only"
            ),
        );
    }
    table.end();
}
