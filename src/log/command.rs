//! Commands: what came in, what became of it, and which answers still wait for the broker's acknowledgement.
//! Works inside the writer's transaction and commits nothing itself; decides nothing about commands.

use rusqlite::{Connection, OptionalExtension, params};

use crate::reading::{Clock, Moment, Timestamp};

/// Rows kept; older ones go, but for those whose id must still be known because they have not expired.
const KEPT: i64 = 10_000;

/// Answers that wait longer than this are given up: nobody waits for them any more. µs.
const ANSWER_KEPT: i64 = 24 * 3600 * 1_000_000;

/// Most answers that are taken up again after a restart.
const MOST_PENDING: i64 = 500;

/// A command as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCommand {
    /// When.
    pub received: Moment,
    /// Where from: the topic, or `local:<user>`.
    pub source: String,
    /// The id that the sender gave it.
    pub command: Option<String>,
    /// Until when it is good.
    pub expires: Option<Timestamp>,
    /// What it says, as far as that is kept.
    pub payload: String,
    /// Where the answer goes.
    pub reply: Option<ReplyTo>,
    /// The answer, if it is refused; else it is taken, to be done and finished.
    pub refused: Option<CommandAnswer>,
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// Topic.
    pub topic: String,
    /// What an MQTT 5 sender tells its answers apart by.
    pub correlation: Option<Vec<u8>>,
}

/// What is answered to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAnswer {
    /// Return code; below 300 it was done.
    pub rc: u16,
    /// In words.
    pub message: String,
    /// The whole answer as it is sent. Kept until the broker has acknowledged it, and only if it goes anywhere.
    pub payload: String,
}

/// A step in the life of commands. All of a list are one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandStep {
    /// Came in.
    Begin(NewCommand),
    /// Is finished.
    Finish {
        /// Its row.
        row: i64,
        /// When.
        at: Timestamp,
        /// With what.
        answer: CommandAnswer,
    },
    /// The broker has acknowledged the answer.
    Answered(i64),
}

/// What came of a [`CommandStep`].
#[derive(Debug, Clone, PartialEq)]
pub enum CommandLogged {
    /// Row of a command that was refused or taken.
    New(i64),
    /// One with this id was taken before.
    Repeat {
        /// Row of the repeat.
        row: i64,
        /// Row of the one taken.
        first: i64,
        /// Return code and words of what was answered to that, once it is finished.
        answer: Option<(u16, String)>,
    },
    /// Done.
    Noted,
}

/// What an earlier run left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommandsLeft {
    /// Those taken and not finished: whether they were done is not known.
    pub interrupted: Vec<Interrupted>,
    /// Answers not acknowledged, oldest first.
    pub replies: Vec<PendingReply>,
}

/// A command that was taken and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// Its row.
    pub row: i64,
    /// Where it came from.
    pub source: String,
    /// The id that the sender gave it.
    pub command: String,
}

/// An answer on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReply {
    /// Row of the command.
    pub row: i64,
    /// Where it goes.
    pub to: ReplyTo,
    /// What it says.
    pub payload: String,
}

/// Writes steps; one answer each.
pub(super) fn write(
    connection: &Connection,
    steps: &[CommandStep],
    now: Timestamp,
) -> rusqlite::Result<Vec<CommandLogged>> {
    let logged = steps.iter().map(|step| match step {
        CommandStep::Begin(command) => begin(connection, command),
        CommandStep::Finish { row, at, answer } => finish(connection, *row, *at, answer),
        CommandStep::Answered(row) => {
            let sql = "UPDATE command SET pending = 0, answer = NULL WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([row])?;
            Ok(CommandLogged::Noted)
        }
    });
    let logged = logged.collect::<rusqlite::Result<_>>()?;
    if steps.iter().any(|step| matches!(step, CommandStep::Begin(_))) {
        tidy(connection, now)?;
    }
    Ok(logged)
}

fn begin(connection: &Connection, new: &NewCommand) -> rusqlite::Result<CommandLogged> {
    let known: Option<(i64, Option<u16>, Option<String>)> = match (&new.refused, &new.command) {
        (None, Some(command)) => connection
            .prepare_cached(
                "SELECT id, rc, message FROM command WHERE source = ?1 AND command = ?2 AND stage IN (1, 2)",
            )?
            .query_row(params![new.source, command], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?,
        _ => None,
    };
    let refused = new.refused.as_ref();
    let stage = match (&known, &new.refused) {
        (Some(_), _) => 3,
        (None, Some(_)) => 0,
        (None, None) => 1,
    };
    let (reply, correlation) =
        new.reply.as_ref().map(|reply| (&reply.topic, reply.correlation.as_ref())).unzip();
    connection
        .prepare_cached(
            "INSERT INTO command (time, flags, source, command, expires, payload, stage, finished, rc, message, answer,
               reply, correlation, pending)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            new.received.wall.0,
            i64::from(new.received.clock == Clock::Unsynced),
            new.source,
            new.command,
            new.expires.map(|expires| expires.0),
            new.payload,
            stage,
            refused.map(|_| new.received.wall.0),
            refused.map(|answer| answer.rc),
            refused.map(|answer| &answer.message),
            new.reply.as_ref().and(refused).map(|answer| &answer.payload),
            reply,
            correlation.flatten(),
            // A repeat's answer is worded by whoever asked, and comes with `Finish`.
            i64::from(stage == 0 && new.reply.is_some()),
        ])?;
    let row = connection.last_insert_rowid();
    Ok(match known {
        Some((first, rc, message)) => CommandLogged::Repeat { row, first, answer: rc.zip(message) },
        None => CommandLogged::New(row),
    })
}

fn finish(
    connection: &Connection,
    row: i64,
    at: Timestamp,
    answer: &CommandAnswer,
) -> rusqlite::Result<CommandLogged> {
    connection
        .prepare_cached(
            "UPDATE command SET stage = iif(stage = 1, 2, stage), finished = ?2, rc = ?3, message = ?4,
               answer = iif(reply IS NULL, NULL, ?5), pending = reply IS NOT NULL
             WHERE id = ?1",
        )?
        .execute(params![row, at.0, answer.rc, answer.message, answer.payload])?;
    Ok(CommandLogged::Noted)
}

/// A flood of commands must not fill the disk, nor push out an id that could still be used a second time.
fn tidy(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM command WHERE id <= (SELECT max(id) FROM command) - ?1
               AND (stage IN (0, 3) OR (stage = 2 AND expires < ?2))",
        )?
        .execute([KEPT, now.0])?;
    Ok(())
}

/// What an earlier run left.
pub(super) fn left(connection: &Connection, now: Timestamp) -> rusqlite::Result<CommandsLeft> {
    let interrupted = connection
        .prepare("SELECT id, source, ifnull(command, '') FROM command WHERE stage = 1 ORDER BY id")?
        .query_map([], |row| Ok(Interrupted { row: row.get(0)?, source: row.get(1)?, command: row.get(2)? }))?
        .collect::<rusqlite::Result<_>>()?;
    let mut replies = connection
        .prepare(
            "SELECT id, reply, correlation, answer FROM command
             WHERE pending = 1 AND reply IS NOT NULL AND answer IS NOT NULL AND time > ?1 ORDER BY id DESC LIMIT ?2",
        )?
        .query_map(params![now.0 - ANSWER_KEPT, MOST_PENDING], |row| {
            let to = ReplyTo { topic: row.get(1)?, correlation: row.get(2)? };
            Ok(PendingReply { row: row.get(0)?, to, payload: row.get(3)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    replies.reverse();
    Ok(CommandsLeft { interrupted, replies })
}

#[cfg(test)]
mod tests {
    use super::super::schema::{STEPS, migrate};
    use super::*;

    const NOW: i64 = 1_795_158_000_000_000;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, STEPS).unwrap();
        connection
    }

    fn answered(rc: u16) -> CommandAnswer {
        CommandAnswer { rc, message: "said".into(), payload: format!("{{\"rc\":{rc}}}") }
    }

    fn new(command: &str, refused: Option<CommandAnswer>) -> CommandStep {
        let received = Moment { wall: Timestamp(NOW), since_boot: 1, clock: Clock::Synced };
        CommandStep::Begin(NewCommand {
            received,
            source: "t/command".into(),
            command: Some(command.into()),
            expires: Some(Timestamp(NOW + 60_000_000)),
            payload: "{}".into(),
            reply: Some(ReplyTo { topic: "t/reply".into(), correlation: Some(vec![1, 0, 255]) }),
            refused,
        })
    }

    fn step(connection: &Connection, step: CommandStep) -> CommandLogged {
        write(connection, &[step], Timestamp(NOW)).unwrap().remove(0)
    }

    fn outcomes(connection: &Connection) -> Vec<(String, Option<u16>)> {
        let mut rows = connection.prepare("SELECT outcome, rc FROM commands ORDER BY id").unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn an_id_is_taken_once_and_the_repeat_learns_the_answer() {
        let connection = database();
        let CommandLogged::New(first) = step(&connection, new("a", None)) else { panic!() };
        let again = step(&connection, new("a", None));
        assert!(matches!(again, CommandLogged::Repeat { first: row, answer: None, .. } if row == first));
        step(&connection, CommandStep::Finish { row: first, at: Timestamp(NOW), answer: answered(200) });
        let again = step(&connection, new("a", None));
        assert!(
            matches!(again, CommandLogged::Repeat { answer: Some(said), .. } if said == (200, "said".into()))
        );
        let expected = [("done", Some(200)), ("repeat", None), ("repeat", None)];
        assert_eq!(outcomes(&connection), expected.map(|(text, rc)| (text.to_owned(), rc)));
    }

    #[test]
    fn a_refused_command_does_not_take_its_id() {
        let connection = database();
        step(&connection, new("a", Some(answered(401))));
        assert!(matches!(step(&connection, new("a", None)), CommandLogged::New(_)));
        assert_eq!(outcomes(&connection)[0], ("refused".to_owned(), Some(401)));
    }

    #[test]
    fn what_a_crash_leaves_is_found() {
        let connection = database();
        let CommandLogged::New(row) = step(&connection, new("cut", None)) else { panic!() };
        let CommandLogged::New(told) = step(&connection, new("told", Some(answered(403)))) else { panic!() };
        let found = left(&connection, Timestamp(NOW)).unwrap();
        let cut = Interrupted { row, source: "t/command".into(), command: "cut".into() };
        assert_eq!(found.interrupted, [cut]);
        assert_eq!(found.replies.len(), 1);
        assert_eq!(found.replies[0].to.correlation, Some(vec![1, 0, 255]));
        step(&connection, CommandStep::Answered(told));
        assert_eq!(left(&connection, Timestamp(NOW)).unwrap().replies, []);
        step(&connection, CommandStep::Finish { row, at: Timestamp(NOW), answer: answered(500) });
        let late = left(&connection, Timestamp(NOW + 2 * ANSWER_KEPT)).unwrap();
        assert_eq!((late.interrupted, late.replies), (Vec::new(), Vec::new()), "nobody waits for a day");
    }

    #[test]
    fn a_flood_is_bounded_and_no_live_id_is_forgotten() {
        let connection = database();
        let CommandLogged::New(row) = step(&connection, new("live", None)) else { panic!() };
        step(&connection, CommandStep::Finish { row, at: Timestamp(NOW), answer: answered(200) });
        let flood: Vec<_> = (0..KEPT + 50).map(|_| new("x", Some(answered(403)))).collect();
        write(&connection, &flood, Timestamp(NOW)).unwrap();
        assert_eq!(outcomes(&connection).len() as i64, KEPT + 1);
        assert!(matches!(step(&connection, new("live", None)), CommandLogged::Repeat { .. }));
        write(&connection, &[new("y", None)], Timestamp(NOW + 61_000_000)).unwrap();
        assert!(matches!(step(&connection, new("live", None)), CommandLogged::New(_)), "expired long ago");
    }
}
