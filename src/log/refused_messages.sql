-- From version 6 to 7: messages that a mirror refused, because they could not show that they are as they were sent.

-- The newest of each mirror; who sends them may be nobody's friend, so neither their number nor their size is theirs
-- to choose, and their topics are kept out of `topic`.
CREATE TABLE refused_message (
  id INTEGER PRIMARY KEY,
  mirror INTEGER NOT NULL REFERENCES mirror (id),
  topic TEXT NOT NULL,        -- as far as it is kept
  time INTEGER NOT NULL,
  flags INTEGER NOT NULL,     -- as in `message`
  reason TEXT NOT NULL,
  size INTEGER NOT NULL,      -- bytes of the payload as it came
  payload ANY                 -- as far as it is kept
) STRICT;
CREATE INDEX refused_message_by_mirror ON refused_message (mirror, id);

CREATE VIEW refused_messages (id, time, ts, topic, qos, retained, reason, size, payload, mirror, clock) AS
SELECT refused_message.id,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000), time || 'µs'),
  time / 1e6, topic, flags & 3, flags >> 2 & 1, reason, size, payload, mirror.name,
  CASE WHEN flags & 8 THEN 'unsynced' ELSE 'synced' END
FROM refused_message JOIN mirror ON mirror.id = refused_message.mirror;
