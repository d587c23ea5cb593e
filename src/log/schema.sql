-- Version 1. Times are µs since the Unix epoch, UTC.

-- What repeats from reading to reading, once. A changed configuration makes a new row.
CREATE TABLE channel (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  sensor TEXT NOT NULL,
  quantity TEXT NOT NULL,
  unit TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('float', 'integer', 'bool', 'text')),
  topic TEXT,                 -- NULL: only logged, never published; then the next five are NULL too
  late_topic TEXT,
  qos INTEGER,
  retain INTEGER,
  shape TEXT CHECK (shape IN ('quantity', 'sample')),
  buffer INTEGER,
  place TEXT,
  latitude REAL,
  longitude REAL,
  altitude REAL
) STRICT;
CREATE INDEX channel_by_name ON channel (sensor, quantity);

-- The readings, narrow. `id` rises in the order taken and is never reused.
CREATE TABLE reading (
  id INTEGER PRIMARY KEY,
  channel INTEGER NOT NULL REFERENCES channel (id),
  time INTEGER NOT NULL,
  value ANY NOT NULL,
  flags INTEGER NOT NULL      -- 1 unsynced, 2 same sample as the row before, 4 time corrected
) STRICT;
-- "One quantity over a time range" is a range scan of this.
CREATE INDEX reading_by_channel ON reading (channel, time);

-- Readings whose time can still be put right: time since boot of the boot of their epoch.
CREATE TABLE unsynced (
  row INTEGER PRIMARY KEY REFERENCES reading (id) ON DELETE CASCADE,
  since_boot INTEGER NOT NULL
) STRICT;

-- A row's epoch is the last one with first_row <= row.
CREATE TABLE epoch (
  id INTEGER PRIMARY KEY,
  first_row INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  boot TEXT NOT NULL
) STRICT;

-- One row: how far delivery has come, and the highest ids that retention has deleted.
CREATE TABLE progress (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  cursor INTEGER NOT NULL DEFAULT 0,
  deleted_reading INTEGER NOT NULL DEFAULT 0,
  deleted_message INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO progress (id) VALUES (1);

-- Rows up to the cursor that still follow late, both ends inclusive.
CREATE TABLE late (next INTEGER PRIMARY KEY, "end" INTEGER NOT NULL) STRICT;

-- QoS 2 hand-shakes: stage 0 sent, 1 released, 2 done.
CREATE TABLE in_flight (
  row INTEGER PRIMARY KEY,
  packet_id INTEGER NOT NULL,
  stage INTEGER NOT NULL CHECK (stage IN (0, 1, 2))
) STRICT;

-- Rows that the broker refused for good.
CREATE TABLE refusal (row INTEGER PRIMARY KEY, time INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;

-- Readings that were lost: deleted before they were delivered, or not taken because the disk did not keep up.
CREATE TABLE gap (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('retention', 'busy')),
  first_row INTEGER,
  last_row INTEGER,
  lost INTEGER NOT NULL,
  reported INTEGER NOT NULL DEFAULT 0   -- whether a reading on the gap channel tells of it
) STRICT;

CREATE TABLE mirror (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- Mirrored messages. `origin` and `number` are the id of a message of ours: it is kept once.
CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  mirror INTEGER NOT NULL REFERENCES mirror (id),
  topic INTEGER NOT NULL REFERENCES topic (id),
  time INTEGER NOT NULL,
  flags INTEGER NOT NULL,     -- QoS, + 4 retained, + 8 received while the clock was not synchronised
  payload ANY NOT NULL,       -- TEXT when it is UTF-8, else BLOB
  origin TEXT,
  number INTEGER
) STRICT;
-- Numbers first: they rise, so that a thousand messages touch a few pages and not one per topic. There is no
-- index by topic for the same reason: it would be most of the cost of storing a message.
CREATE UNIQUE INDEX message_by_origin ON message (number, origin, mirror, topic) WHERE origin IS NOT NULL;

-- The tables of typed columns that mirrors fill, so that no other table is taken for one.
CREATE TABLE mirror_table (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- QoS 2 packet ids taken from the broker and not released yet, with a hash of topic and payload.
CREATE TABLE held (
  mirror INTEGER NOT NULL REFERENCES mirror (id),
  packet_id INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  PRIMARY KEY (mirror, packet_id)
) STRICT, WITHOUT ROWID;

-- The bytes last about to be appended to a file.
CREATE TABLE intent (
  mirror INTEGER PRIMARY KEY REFERENCES mirror (id),
  file TEXT NOT NULL,
  "from" INTEGER NOT NULL,
  "to" INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  packet_ids TEXT NOT NULL    -- separated by commas
) STRICT;

-- The topic filters that the broker's session has.
CREATE TABLE subscription (
  mirror INTEGER NOT NULL REFERENCES mirror (id),
  filter TEXT NOT NULL,
  qos INTEGER NOT NULL,
  PRIMARY KEY (mirror, filter)
) STRICT, WITHOUT ROWID;

-- For people and tools. `x - mod(x)` is floor(): SQLite's `/` and `%` truncate towards zero, which would be
-- a second off before 1970.
CREATE VIEW readings (id, time, ts, device, sensor, quantity, value, unit, latitude, longitude, clock) AS
SELECT reading.id,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000), time || 'µs'),
  time / 1e6, device, sensor, quantity, value, unit, latitude, longitude,
  CASE WHEN flags & 1 THEN 'unsynced' WHEN flags & 4 THEN 'corrected' ELSE 'synced' END
FROM reading JOIN channel ON channel.id = reading.channel;

CREATE VIEW messages (id, time, ts, topic, qos, retained, payload, mirror, clock) AS
SELECT message.id,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000), time || 'µs'),
  time / 1e6, topic.name, flags & 3, flags >> 2 & 1, payload, mirror.name,
  CASE WHEN flags & 8 THEN 'unsynced' ELSE 'synced' END
FROM message JOIN topic ON topic.id = message.topic JOIN mirror ON mirror.id = message.mirror;

CREATE VIEW gaps (id, time, ts, reason, lost, first_row, last_row) AS
SELECT id,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000), time || 'µs'),
  time / 1e6, reason, lost, first_row, last_row
FROM gap;

CREATE VIEW refused (id, time, ts, reason, sensor, quantity, topic, value) AS
SELECT refusal.row,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (refusal.time - (refusal.time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (refusal.time % 1000000 + 1000000) % 1000000), refusal.time || 'µs'),
  refusal.time / 1e6, reason, sensor, quantity, topic, value
FROM refusal LEFT JOIN reading ON reading.id = refusal.row LEFT JOIN channel ON channel.id = reading.channel;
