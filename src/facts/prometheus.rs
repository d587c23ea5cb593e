//! The facts in Prometheus' text format, version 0.0.4. Pure: from a snapshot to a text.
//!
//! One table names every metric, how it is labelled and where its values come from; `docs/status.md` is held to
//! it. Labels come from the configuration alone (names of sensors, quantities, units, mirrors, outputs), never from topics,
//! messages or reasons, so that the number of series is bounded by the configuration.
//!
//! Source: prometheus.io/docs/instrumenting/exposition_formats, …/practices/naming.

use std::fmt::Write;

use super::snapshot::{Condition, Latency, Quantity, Snapshot, Word};

/// What an HTTP answer with this text declares.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it is, in one sentence.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    samples: fn(&Snapshot, &mut Samples<'_>),
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises while the program runs.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Durations by class.
    Histogram,
}

impl Kind {
    /// As the text format has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Snapshot, &mut Samples<'_>),
) -> Metric {
    Metric { name, kind: Kind::Counter, help, labels, samples }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Snapshot, &mut Samples<'_>),
) -> Metric {
    Metric { name, kind: Kind::Gauge, help, labels, samples }
}

/// A counter or gauge per sensor, mirror or output: of one field, or of what is made of it.
macro_rules! per {
    ($label:ident in $all:ident: $make:ident, $name:literal, $help:literal, |$one:ident| $value:expr) => {
        $make($name, &[stringify!($label)], $help, |snapshot, out| {
            for $one in &snapshot.$all {
                out.add(&[&$one.$label], $value);
            }
        })
    };
    ($label:ident in $all:ident: $make:ident, $name:literal, $help:literal, $field:ident) => {
        per!($label in $all: $make, $name, $help, |one| one.$field as f64)
    };
}

/// Of the link to the broker.
macro_rules! of_broker {
    ($make:ident, $name:literal, $help:literal, $field:ident) => {
        $make($name, &[], $help, |snapshot, out| {
            if let Some(broker) = &snapshot.broker {
                out.add(&[], broker.$field as f64);
            }
        })
    };
}

/// Of the log.
macro_rules! of_log {
    ($make:ident, $name:literal, $help:literal, $field:ident) => {
        $make($name, &[], $help, |snapshot, out| out.add(&[], snapshot.log.$field as f64))
    };
}

/// Of the machine; nothing where the kernel did not tell.
macro_rules! of_machine {
    ($name:literal, $help:literal, $field:ident) => {
        gauge($name, &[], $help, |snapshot, out| {
            if let Some(bytes) = snapshot.machine.$field {
                out.add(&[], bytes as f64);
            }
        })
    };
}

/// Every metric, in the order of the text.
pub const METRICS: &[Metric] = &[
    gauge(
        "sensor_bridge_build_info",
        &["version", "device"],
        "Always 1; the version and the device are in the labels.",
        |s, out| {
            out.add(&[&s.version, &s.device], 1.0);
        },
    ),
    gauge("sensor_bridge_uptime_seconds", &[], "Time since the program began.", |s, out| {
        out.add(&[], s.uptime_seconds)
    }),
    gauge(
        "sensor_bridge_healthy",
        &[],
        "1 when everything that is configured works, as /healthz says, else 0.",
        |s, out| {
            out.add(&[], truth(s.health.healthy));
        },
    ),
    counter("sensor_bridge_warnings_total", &[], "Warnings and states to be looked at.", |s, out| {
        out.add(&[], s.warnings as f64)
    }),
    gauge(
        "sensor_bridge_clock_synced",
        &[],
        "1 when the kernel says that its clock is right, else 0.",
        |s, out| {
            out.add(&[], truth(s.clock.quality == "synced"));
        },
    ),
    per!(sensor in sensors: gauge, "sensor_bridge_sensor_up", "1 when the last read of the sensor was answered, else 0.", |one| works(&one.condition)),
    per!(sensor in sensors: counter, "sensor_bridge_samples_total", "Reads that the sensor answered.", samples),
    per!(sensor in sensors: counter,
        "sensor_bridge_readings_total",
        "Values that passed the filter and went into the log.",
        passed
    ),
    per!(sensor in sensors: counter,
        "sensor_bridge_readings_suppressed_total",
        "Values that had not changed enough.",
        suppressed
    ),
    per!(sensor in sensors: counter, "sensor_bridge_readings_rejected_total", "Values that cannot be true.", rejected),
    per!(sensor in sensors: counter,
        "sensor_bridge_readings_dropped_total",
        "Values that the log did not take.",
        dropped
    ),
    per!(sensor in sensors: gauge,
        "sensor_bridge_readings_held",
        "Values kept back by min_interval at the moment.",
        held
    ),
    per!(sensor in sensors: counter, "sensor_bridge_sensor_errors_total", "Reads that failed.", errors),
    per!(sensor in sensors: counter,
        "sensor_bridge_sensor_skipped_total",
        "Reads left out because the one before took too long.",
        skipped
    ),
    per!(sensor in sensors: counter,
        "sensor_bridge_sensor_events_lost_total",
        "Edges of a pin that came faster than they could be taken.",
        lost
    ),
    gauge(
        "sensor_bridge_reading_value",
        &["sensor", "quantity", "unit"],
        "The last value that can be true; a picture's size, and nothing for a text.",
        |s, out| {
            for (sensor, quantity) in quantities(s) {
                if let Some(value) = quantity.value.as_ref().and_then(|value| value.as_f64()) {
                    out.add(&[sensor, &quantity.quantity, &quantity.unit], value);
                }
            }
        },
    ),
    gauge(
        "sensor_bridge_reading_age_seconds",
        &["sensor", "quantity"],
        "How long ago that value was taken.",
        |s, out| {
            for (sensor, quantity) in quantities(s) {
                if let Some(age) = quantity.age_seconds {
                    out.add(&[sensor, &quantity.quantity], age);
                }
            }
        },
    ),
    gauge(
        "sensor_bridge_broker_connected",
        &[],
        "1 while the link to the broker works, else 0.",
        |s, out| {
            if let Some(broker) = &s.broker {
                out.add(&[], works(&broker.condition));
            }
        },
    ),
    of_broker!(
        counter,
        "sensor_bridge_broker_connections_total",
        "Connections made to the broker.",
        connections
    ),
    of_broker!(
        counter,
        "sensor_bridge_published_total",
        "Messages that the broker has acknowledged (QoS 0: that were written).",
        published
    ),
    of_broker!(
        counter,
        "sensor_bridge_refused_total",
        "Messages that the broker has refused for good.",
        refused
    ),
    of_broker!(
        counter,
        "sensor_bridge_discarded_total",
        "QoS 0 readings given up because there was no connection.",
        discarded
    ),
    of_broker!(
        counter,
        "sensor_bridge_thinned_total",
        "Messages that gave way to newer ones, because the platform takes only so many a second.",
        thinned
    ),
    of_broker!(gauge, "sensor_bridge_in_flight", "Messages handed over and not acknowledged.", in_flight),
    of_broker!(gauge, "sensor_bridge_backlog_rows", "Rows committed and not delivered.", backlog_rows),
    of_broker!(
        gauge,
        "sensor_bridge_backlog_late_rows",
        "Of these, rows that follow late (backlog: live-first).",
        late_rows
    ),
    Metric {
        name: "sensor_bridge_publish_latency_seconds",
        kind: Kind::Histogram,
        help: "From handing a message over to its acknowledgement, QoS 1 and 2.",
        labels: &[],
        samples: |s, out| {
            if let Some(broker) = &s.broker {
                out.histogram(&broker.latency);
            }
        },
    },
    per!(mirror in mirrors: gauge, "sensor_bridge_mirror_up", "1 while the mirror is connected and stores, else 0.", |one| works(&one.condition)),
    per!(mirror in mirrors: counter, "sensor_bridge_mirror_received_total", "Messages received.", received),
    per!(mirror in mirrors: counter, "sensor_bridge_mirror_stored_total", "Messages stored.", stored),
    per!(mirror in mirrors: counter,
        "sensor_bridge_mirror_repeats_total",
        "Messages received again and not stored again.",
        repeats
    ),
    per!(mirror in mirrors: counter,
        "sensor_bridge_mirror_refused_total",
        "Messages refused because they did not carry what the mirror asks for.",
        refused
    ),
    per!(mirror in mirrors: counter,
        "sensor_bridge_mirror_bad_json_total",
        "Payloads that should be JSON and are not.",
        bad_json
    ),
    per!(mirror in mirrors: counter, "sensor_bridge_mirror_reconnects_total", "Connections lost.", reconnects),
    per!(output in outputs: gauge, "sensor_bridge_output_up", "1 while the output can be driven, else 0.", |one| works(&one.condition)),
    per!(output in outputs: gauge, "sensor_bridge_output_level_percent", "What the output is set to; 100 is on.", level),
    per!(output in outputs: counter, "sensor_bridge_output_changes_total", "Times that the output came to another level.", changes),
    per!(output in outputs: counter, "sensor_bridge_output_refused_total", "Commands that the rules of the output forbade.", refused),
    per!(output in outputs: counter, "sensor_bridge_output_errors_total", "Attempts to drive the output that failed.", errors),
    gauge("sensor_bridge_log_up", &[], "1 while the log can write, else 0.", |s, out| {
        out.add(&[], works(&s.log.condition));
    }),
    of_log!(counter, "sensor_bridge_log_readings_total", "Readings committed.", written),
    of_log!(counter, "sensor_bridge_log_messages_total", "Mirrored messages committed.", messages),
    of_log!(counter, "sensor_bridge_log_commits_total", "Commits.", commits),
    of_log!(
        gauge,
        "sensor_bridge_log_commit_max_seconds",
        "The longest commit since the program began.",
        commit_max_seconds
    ),
    of_log!(counter, "sensor_bridge_log_deleted_total", "Rows deleted by retention.", deleted),
    of_log!(
        counter,
        "sensor_bridge_log_lost_total",
        "Readings lost: the disk did not keep up, or max_size forced them out.",
        lost
    ),
    of_log!(
        counter,
        "sensor_bridge_log_rejected_total",
        "Samples that could not be stored at all.",
        rejected
    ),
    of_log!(gauge, "sensor_bridge_log_queue", "Readings that wait for their commit.", queue),
    of_log!(gauge, "sensor_bridge_log_rows", "Rows in the log, holes left by retention counted.", rows),
    of_log!(
        gauge,
        "sensor_bridge_log_size_bytes",
        "Size of the database and its write-ahead log.",
        size_bytes
    ),
    of_log!(gauge, "sensor_bridge_log_wal_bytes", "Size of the write-ahead log.", wal_bytes),
    of_machine!(
        "sensor_bridge_disk_free_bytes",
        "What may still be written where the log is.",
        disk_free_bytes
    ),
    of_machine!("sensor_bridge_disk_size_bytes", "Size of that file system.", disk_total_bytes),
    of_machine!("process_resident_memory_bytes", "Memory that the daemon holds.", memory_resident_bytes),
    counter("process_cpu_seconds_total", &[], "Processor time of the daemon.", |s, out| {
        out.add(&[], s.machine.cpu_seconds)
    }),
];

/// Collects the samples of one metric.
struct Samples<'a> {
    metric: &'a Metric,
    page: &'a mut String,
    begun: bool,
}

/// The whole text.
pub fn render(snapshot: &Snapshot) -> String {
    let mut page = String::with_capacity(8 << 10);
    for metric in METRICS {
        (metric.samples)(snapshot, &mut Samples { metric, page: &mut page, begun: false });
    }
    page
}

impl Samples<'_> {
    /// A sample with these values of the metric's labels.
    fn add(&mut self, labels: &[&str], value: f64) {
        self.line("", labels, None, value);
    }

    fn histogram(&mut self, latency: &Latency) {
        for (bound, count) in &latency.buckets {
            self.line("_bucket", &[], Some(&number(*bound)), *count as f64);
        }
        self.line("_bucket", &[], Some("+Inf"), latency.count as f64);
        self.line("_sum", &[], None, latency.sum_seconds);
        self.line("_count", &[], None, latency.count as f64);
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>, value: f64) {
        let Metric { name, kind, help, labels: names, .. } = self.metric;
        if !std::mem::replace(&mut self.begun, true) {
            let (help, kind) = (escaped(help, false), kind.as_str());
            append(self.page, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        }
        append(self.page, format_args!("{name}{suffix}"));
        let of_bound = bound.map(|bound| ("le", bound));
        let labels = names.iter().copied().zip(labels.iter().copied()).chain(of_bound);
        let mut open = '{';
        for (label, value) in labels {
            append(self.page, format_args!("{open}{label}=\"{}\"", escaped(value, true)));
            open = ',';
        }
        if open == ',' {
            self.page.push('}');
        }
        append(self.page, format_args!(" {}\n", number(value)));
    }
}

/// Writing into a `String` cannot fail.
fn append(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).unwrap_or_default();
}

fn quantities(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &Quantity)> {
    let all = snapshot.sensors.iter();
    all.flat_map(|sensor| sensor.quantities.iter().map(|quantity| (sensor.sensor.as_str(), quantity)))
}

/// 1 for what does what it is for, even if something should be looked at.
fn works(condition: &Condition) -> f64 {
    truth(matches!(condition.state, Word::Ok | Word::Degraded))
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// The shortest decimal that reads back as the same number.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

/// `\`, line feeds and, in a label, quotes.
fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes {
        escaped = escaped.replace('"', "\\\"");
    }
    escaped
}
