//! A file that has been looked through goes into the log: in steps that leave the daemon room, each whole or not at
//! all, and none of it twice.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::source::Source;
use super::survey::{Manner, Survey};
use super::value::settle;
use super::{Fault, Row};
use crate::log::LogError;
use crate::log::intake::{Foreign, Intake, Series};
use crate::reading::{Timestamp, Value};

/// Readings in one transaction: some tens of milliseconds, in which the daemon cannot commit.
const AT_ONCE: usize = 5_000;

/// Then it may.
const PAUSE: Duration = Duration::from_millis(10);

/// Readings of one and the same time whose equals are counted. Beyond it, equal readings are taken for one.
const SAME_TIME: usize = 10_000;

/// What came of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Readings that went in.
    pub added: u64,
    /// Readings that were there already.
    pub present: u64,
    /// It was broken off: the rest is as it was.
    pub stopped: bool,
}

/// Why an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file.
    #[error(transparent)]
    File(#[from] Fault),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The file is not what was looked through.
    #[error("line {0}: the file was changed in the meantime")]
    Changed(u64),
}

/// Puts the readings of a file into the log. What came of it until then is in `account`, also on an error.
/// `progress` hears bytes read and in all, and may break it off.
///
/// # Errors
/// The file or the log. What went in before stays; the same import again adds the rest.
pub fn import(
    path: &Path,
    manner: &Manner,
    survey: &Survey,
    intake: &mut Intake,
    account: &mut Account,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let names: Vec<Series> = survey.series.iter().map(|found| found.series.clone()).collect();
    in_steps(path, manner, survey, AT_ONCE, &mut |readings, bytes, size| {
        let left = survey.readings.saturating_sub(account.added + account.present);
        let added = intake.add(&names, &readings, left.max(readings.len() as u64))?;
        account.added += added as u64;
        account.present += (readings.len() - added) as u64;
        if progress(bytes, size).is_break() {
            account.stopped = true;
            return Ok(ControlFlow::Break(()));
        }
        std::thread::sleep(PAUSE);
        Ok(ControlFlow::Continue(()))
    })
}

/// Reads the file again and hands its readings over, some at a time, with the bytes read and in all.
pub(super) fn in_steps(
    path: &Path,
    manner: &Manner,
    survey: &Survey,
    at_once: usize,
    take: &mut dyn FnMut(Vec<Foreign>, u64, u64) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let size = std::fs::metadata(path).map_err(Fault::Io)?.len();
    let mut source = Source::open(path, manner.format, &manner.mapping)?;
    let mut equals = Equals::default();
    let (mut rows, mut readings) = (Vec::new(), Vec::with_capacity(at_once));
    loop {
        rows.clear();
        let more = match source.next(&mut rows) {
            Ok(more) => more,
            // It was right when it was looked through.
            Err(Fault::Line(wrong)) => return Err(Failure::Changed(wrong.line)),
            Err(fault) => return Err(fault.into()),
        };
        for row in rows.drain(..) {
            readings.push(foreign(row, survey, &mut equals)?);
        }
        let full = readings.len() >= at_once;
        if (full || !more) && !readings.is_empty() {
            let step = std::mem::replace(&mut readings, Vec::with_capacity(at_once));
            if take(step, source.bytes(), size)?.is_break() {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
    }
}

fn foreign(row: Row, survey: &Survey, equals: &mut Equals) -> Result<Foreign, Failure> {
    let place = survey.places.get(&row.series).copied().ok_or(Failure::Changed(row.line))?;
    let value = settle(&row.value, survey.series[place].rule);
    let nth = equals.next(row.at, place, sameness(&value));
    Ok(Foreign { series: place, at: row.at, clock: row.clock, value, nth })
}

/// A text that values have in common which the log takes for the same: -0 and 0 do, 0 and "0" do not.
pub(super) fn sameness(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("n{}", number + 0.0),
        Value::Integer(_) | Value::Image(_) => format!("n{value}"),
        Value::Bool(_) => format!("b{value}"),
        Value::Text(_) => format!("t{value}"),
    }
}

/// Counts equal readings, as far as they follow one another in time, as they do in an export.
#[derive(Debug, Default)]
struct Equals {
    at: Option<Timestamp>,
    seen: HashMap<(usize, String), u32>,
}

impl Equals {
    /// The how-manieth of this series, time and value this is.
    fn next(&mut self, at: Timestamp, series: usize, value: String) -> u32 {
        if self.at != Some(at) || self.seen.len() >= SAME_TIME {
            self.seen.clear();
            self.at = Some(at);
        }
        let count = self.seen.entry((series, value)).or_insert(0);
        *count += 1;
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::survey::survey;
    use crate::exchange::testing::*;

    #[test]
    fn a_file_goes_in_once() {
        let house = House::new();
        let file = house.file(
            "a.csv",
            "time,device,sensor,quantity,value,unit,clock\r\n\
             2026-11-20T07:00:00Z,pi,air,temperature,21,°C,synced\r\n\
             2026-11-20T07:00:00Z,pi,air,temperature,21,°C,synced\r\n\
             2026-11-20T07:00:01Z,pi,air,temperature,21.5,°C,unsynced\r\n\
             2026-11-20T07:00:01Z,pi,door,open,true,,corrected\r\n\
             2026-11-20T07:00:02Z,pi,air,temperature,,°C,synced\r\n",
        );
        let manner = manner(super::super::Format::Csv);
        let found = survey(&file, &manner, &[], &mut on).unwrap().unwrap();
        assert_eq!((found.readings, found.missing, found.wrong), (4, 1, 0));
        assert_eq!(house.import(&file, &manner), Account { added: 4, present: 0, stopped: false });
        assert_eq!(house.import(&file, &manner), Account { added: 0, present: 4, stopped: false });
        assert_eq!(
            house.readings(),
            [
                "2026-11-20T07:00:00.000000Z pi air temperature 21 °C synced",
                "2026-11-20T07:00:00.000000Z pi air temperature 21 °C synced",
                "2026-11-20T07:00:01.000000Z pi air temperature 21.5 °C unsynced",
                "2026-11-20T07:00:01.000000Z pi door open true  corrected",
            ]
        );
    }

    #[test]
    fn equal_readings_are_counted_as_the_log_counts_them() {
        let house = House::new();
        let row = |value: &str| format!("2026-11-20,air,x,{value}\n");
        let rows = ["-0", "0", "0.0", "\"0\"", "true", "true"].map(row).concat();
        let file = house.file("z.csv", &format!("time,sensor,quantity,value\n{rows}"));
        let manner = Manner { mixed: true, ..manner(super::super::Format::Csv) };
        assert_eq!(house.import(&file, &manner).added, 6);
        assert_eq!(house.import(&file, &manner), Account { added: 0, present: 6, stopped: false });
    }

    #[test]
    fn broken_off_it_goes_on_where_it_was() {
        let house = House::new();
        let mut text = "time,sensor,quantity,value\n".to_owned();
        for row in 0..12_000 {
            text.push_str(&format!("{},air,temperature,{}.5\n", 1_795_158_000 + row, row % 7));
        }
        let file = house.file("b.csv", &text);
        let manner = manner(super::super::Format::Csv);
        let found = survey(&file, &manner, &[], &mut on).unwrap().unwrap();
        let mut account = Account::default();
        let mut intake = Intake::open(&house.log()).unwrap();
        let mut stop = |_, _| ControlFlow::Break(());
        import(&file, &manner, &found, &mut intake, &mut account, &mut stop).unwrap();
        assert_eq!(account, Account { added: 5_000, present: 0, stopped: true });
        assert_eq!(house.import(&file, &manner), Account { added: 7_000, present: 5_000, stopped: false });
        assert_eq!(house.readings().len(), 12_000);
    }

    #[test]
    fn wrong_lines_are_named_and_mixtures_too() {
        let house = House::new();
        let file = house.file(
            "c.csv",
            "time,sensor,quantity,value\n\
             yesterday,air,temperature,1\n\
             2026-11-20,air,temperature,1.5\n\
             2026-11-20,a/b,temperature,1.5\n\
             2026-11-21,air,temperature,1.x\n\
             2026-11-22,air,temperature,2\n\
             2026-11-22,,temperature,2\n",
        );
        let manner = manner(super::super::Format::Csv);
        let found = survey(&file, &manner, &[], &mut on).unwrap().unwrap();
        let told: Vec<String> =
            found.examples.iter().map(|wrong| format!("{} {}", wrong.line, wrong.what)).collect();
        assert_eq!(found.wrong, 4, "{told:#?}");
        for (place, beginning) in [
            "2 \"yesterday\" is not a time",
            "4 sensor \"a/b\" cannot contain '/'",
            "5 air temperature: \"1.x\" is not as the 2 other values, which are numbers",
            "7 there is no sensor",
        ]
        .iter()
        .enumerate()
        {
            assert!(told[place].starts_with(beginning), "{told:#?}");
        }
        let open = |text: &str| {
            survey(&house.file("d.csv", text), &manner, &[], &mut on).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(open(""), "is empty");
        assert!(open("when,sensor,quantity,value\n").contains("--time-column NAME; it has: when, sensor"));
        assert!(open("time,value\n").contains("--sensor ID"));
    }

    #[test]
    fn a_value_that_falls_in_two_is_no_value() {
        let house = House::new();
        // A comma at the end is how some programs end a line.
        let file =
            house.file("n.csv", "time,sensor,quantity,value\n1795158000,a,b,21,5\n1795158001,a,b,21,\n");
        let found = survey(&file, &manner(super::super::Format::Csv), &[], &mut on).unwrap().unwrap();
        let told: Vec<String> =
            found.examples.iter().map(|one| format!("{} {}", one.line, one.what)).collect();
        let expected = "2 has 5 fields, and the first line 4; is a comma within a value not quoted?";
        assert_eq!((told, found.readings), (vec![expected.to_owned()], 1));
    }

    #[test]
    fn a_reason_is_told_once() {
        let gone = Failure::from(Fault::from(std::io::Error::from(std::io::ErrorKind::NotFound)));
        assert_eq!(format!("{:#}", anyhow::Error::from(gone)), "cannot be read: entity not found");
    }

    #[test]
    fn a_file_of_wrong_lines_can_be_broken_off_too() {
        let house = House::new();
        let file = house.file("w.csv", &format!("time,sensor,quantity,value\n{}", "x,a,b,1\n".repeat(1_000)));
        let mut stop = |_, _| ControlFlow::Break(());
        let found = survey(&file, &manner(super::super::Format::Csv), &[], &mut stop).unwrap();
        assert!(found.is_none(), "{found:?}");
    }

    #[test]
    fn other_names_and_columns_of_values() {
        use crate::exchange::columns::{Fixed, Role};
        let house = House::new();
        let file =
            house.file("e.csv", "Datum;T innen;Feuchte\n2026-11-20 07:00;21,5;\n2026-11-20 07:01;22,0;48\n");
        let mut manner = manner(super::super::Format::Csv);
        manner.mapping.columns = [(Role::Time, "Datum".to_owned())].into();
        manner.mapping.wide =
            vec![("T innen".into(), "temperature".into()), ("Feuchte".into(), "humidity".into())];
        manner.mapping.fixed = Fixed { sensor: Some("air".into()), ..Fixed::default() };
        manner.mapping.decimal_comma = true;
        assert_eq!(house.import(&file, &manner).added, 3);
        let shown: Vec<String> = house.readings().iter().map(|line| line[28..].to_owned()).collect();
        assert_eq!(
            shown,
            [
                "here air temperature 21.5  synced",
                "here air temperature 22  synced",
                "here air humidity 48  synced"
            ]
        );
        let lines = house.file("f.jsonl", "{\"time\":1795158000,\"sensor\":\"air\",\"humidity\":1,\"temperature\":2}\n{\"time\":1795158001,\"sensor\":\"air\",\"humidity\":3}\n");
        manner.format = super::super::Format::Jsonl;
        manner.mapping.columns.clear();
        manner.mapping.wide =
            vec![("temperature".into(), "temperature".into()), ("humidity".into(), "humidity".into())];
        assert_eq!(house.import(&lines, &manner).added, 3);
    }
}
