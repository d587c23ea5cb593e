//! Messages that a mirror refused: the newest are kept, cut to a bounded size, for whoever wants to know why.

use rusqlite::{Connection, params};

use super::mirror::{flags, payload};
use super::{NewMessage, RefusedMessage};

/// So many of each mirror are kept.
const MOST: i64 = 1000;

/// Bytes of a payload that are kept.
const MOST_PAYLOAD: usize = 4096;

/// Characters of a topic that are kept.
const MOST_TOPIC: usize = 512;

/// Stores them, and forgets the oldest beyond [`MOST`].
pub(super) fn store(
    connection: &Connection,
    mirror: i64,
    refused: &[RefusedMessage],
) -> rusqlite::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO refused_message (mirror, topic, time, flags, reason, size, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    // What would go again at once is not written.
    let newest = &refused[refused.len().saturating_sub(MOST as usize)..];
    for RefusedMessage { message, reason } in newest {
        let NewMessage { topic, received, .. } = message;
        let topic: String = topic.chars().take(MOST_TOPIC).collect();
        let kept = kept(&message.payload);
        let size = i64::try_from(message.payload.len()).unwrap_or(i64::MAX);
        insert.execute(params![
            mirror,
            topic,
            received.wall.0,
            flags(message),
            reason,
            size,
            payload(kept)
        ])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM refused_message WHERE mirror = ?1 AND id <=
               (SELECT id FROM refused_message WHERE mirror = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![mirror, MOST])?;
    Ok(())
}

/// The beginning of a payload, not in the middle of a letter.
fn kept(bytes: &[u8]) -> &[u8] {
    let end = bytes.len().min(MOST_PAYLOAD);
    // A letter of UTF-8 has four bytes at most.
    let cut = (end.saturating_sub(3)..=end).rev().find(|end| std::str::from_utf8(&bytes[..*end]).is_ok());
    &bytes[..cut.unwrap_or(end)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::MirrorBatch;
    use crate::log::testing::*;
    use crate::reading::Qos;

    fn refused(topic: &str, payload: &[u8]) -> RefusedMessage {
        let message = NewMessage {
            topic: topic.to_owned(),
            received: moment(NOON),
            qos: Qos::ExactlyOnce,
            retained: true,
            payload: payload.to_vec(),
            id: None,
            fields: None,
            told: Vec::new(),
        };
        RefusedMessage { message, reason: "carries no HMAC".to_owned() }
    }

    fn batch(mirror: &str, refused: Vec<RefusedMessage>) -> MirrorBatch {
        MirrorBatch { mirror: mirror.to_owned(), refused, ..MirrorBatch::default() }
    }

    #[test]
    fn the_newest_of_each_mirror_are_kept_and_cut() {
        let folder = Folder::new();
        let log = folder.open();
        let mut long = vec![b'x'; MOST_PAYLOAD - 1];
        long.extend("°°".as_bytes());
        let binary = [0, 255].repeat(MOST_PAYLOAD);
        let topic = "é".repeat(MOST_TOPIC + 1);
        log.store(batch("other", vec![refused("a", b"21.4"), refused(&topic, &long), refused("b", &binary)]))
            .unwrap();
        let many = |from: usize| (from..from + 700).map(|turn| refused("t", turn.to_string().as_bytes()));
        log.store(batch("m", many(0).collect())).unwrap();
        log.store(batch("m", many(700).collect())).unwrap();
        log.store(batch("m", (0..3000).map(|turn| refused("u", turn.to_string().as_bytes())).collect()))
            .unwrap();
        log.store(batch("m", many(1400).collect())).unwrap();
        let reader = rusqlite::Connection::open(folder.path()).unwrap();
        let text = |sql: &str| -> String { reader.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(
            text(
                "SELECT topic || qos || retained || reason || size || payload || mirror FROM refused_messages LIMIT 1"
            ),
            "a21carries no HMAC421.4other"
        );
        assert_eq!(
            text("SELECT group_concat(length(CAST(topic AS BLOB)) || ':' || length(CAST(payload AS BLOB)) || ':' || size || ':' || typeof(payload), ' ')
                  FROM refused_messages WHERE mirror = 'other'"),
            format!("1:4:4:text 1024:4095:{}:text 1:4096:8192:blob", long.len())
        );
        assert_eq!(
            text("SELECT count(*) || ' ' || min(payload) || ' ' || max(payload) FROM
                    (SELECT CAST(payload AS INTEGER) AS payload FROM refused_messages WHERE mirror = 'm' AND topic = 't')"),
            "700 1400 2099"
        );
        assert_eq!(text("SELECT count(*) || '' FROM refused_messages WHERE mirror = 'm'"), "1000");
        assert_eq!(text("SELECT count(*) || '' FROM topic"), "0", "their topics are not remembered");
    }
}
