//! What is wrong is said: where, what, and what to write instead.

mod command;
mod device;
mod file;
mod keys;
mod log;
mod mirror;
mod mqtt;
mod output;
mod quantity;
mod sensor;
mod status;
mod topics;
mod web;

use super::*;

/// Collects what came out otherwise than expected, so that a change of wording shows all its rows at once.
#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    fn row(&mut self, yaml: &str, expected: &str) {
        let found = problems(yaml);
        if found != [expected] {
            self.0.push(format!("{yaml}\n  expected {expected}\n  found    {}", found.join("\n           ")));
        }
    }

    fn end(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

/// Each configuration and the one line that a person sees.
fn expect(cases: &[(&str, &str)]) {
    let mut table = Table::default();
    for (yaml, expected) in cases {
        table.row(yaml, expected);
    }
    table.end();
}

/// The same for one section beside a sensor and, unless it is `mqtt` itself, a broker.
fn expect_in(section: &str, cases: &[(&str, &str)]) {
    let mut table = Table::default();
    for (keys, expected) in cases {
        let broker = if section == "mqtt" { "" } else { "mqtt: {url: \"mqtt://b\"}\n" };
        let yaml = format!("{section}: {{{keys}}}\n{broker}{SENSOR}");
        table.row(&yaml, &format!("line 1: {section}.{expected}"));
    }
    table.end();
}
