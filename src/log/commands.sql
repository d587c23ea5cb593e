-- From version 4 to 5: commands.

-- Every command that came in, and what became of it. `stage`: 0 refused, 1 taken and not finished, 2 finished,
-- 3 a repeat of one taken before. `pending` is 1 while an answer waits for the broker's acknowledgement.
CREATE TABLE command (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  flags INTEGER NOT NULL,     -- 1 received while the clock was not synchronised
  source TEXT NOT NULL,       -- the topic, or local:<user>
  command TEXT,               -- the id that the sender gave it; NULL when it could not be read
  expires INTEGER,
  payload TEXT NOT NULL,      -- as far as it is kept
  stage INTEGER NOT NULL CHECK (stage BETWEEN 0 AND 3),
  finished INTEGER,
  rc INTEGER,
  message TEXT,
  answer TEXT,
  reply TEXT,                 -- topic of the answer; NULL when nobody is to be told
  correlation BLOB,
  pending INTEGER NOT NULL
) STRICT;
-- What was taken is not done a second time.
CREATE UNIQUE INDEX command_by_id ON command (source, command) WHERE stage IN (1, 2);
CREATE INDEX command_pending ON command (id) WHERE pending = 1;

CREATE VIEW commands (id, time, ts, source, command, payload, rc, message, outcome, finished, clock) AS
SELECT id,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000), time || 'µs'),
  time / 1e6, source, command, payload, rc, message,
  CASE stage WHEN 0 THEN 'refused' WHEN 1 THEN 'under way' WHEN 2 THEN iif(rc < 300, 'done', 'failed') ELSE 'repeat' END,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (finished - (finished % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (finished % 1000000 + 1000000) % 1000000), finished || 'µs'),
  CASE WHEN flags & 1 THEN 'unsynced' ELSE 'synced' END
FROM command;
