-- From version 1 to 2: pictures.

-- The checks of a table cannot be altered, so it is made anew, with 'image' as a kind and 'base64' and 'binary'
-- as shapes. Foreign keys are off meanwhile, and the ids stay. A view of the user's own that names the table
-- would stop its renaming but for the legacy rules, which leave views alone.
DROP VIEW readings;
DROP VIEW refused;
CREATE TABLE channel_of_2 (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  sensor TEXT NOT NULL,
  quantity TEXT NOT NULL,
  unit TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('float', 'integer', 'bool', 'text', 'image')),
  topic TEXT,                 -- NULL: only logged, never published; then the next five are NULL too
  late_topic TEXT,
  qos INTEGER,
  retain INTEGER,
  shape TEXT CHECK (shape IN ('quantity', 'sample', 'base64', 'binary')),
  buffer INTEGER,
  place TEXT,
  latitude REAL,
  longitude REAL,
  altitude REAL
) STRICT;
INSERT INTO channel_of_2 SELECT id, device, sensor, quantity, unit, kind, topic, late_topic, qos, retain, shape, buffer,
  place, latitude, longitude, altitude FROM channel;
PRAGMA legacy_alter_table = ON;
DROP TABLE channel;
ALTER TABLE channel_of_2 RENAME TO channel;
PRAGMA legacy_alter_table = OFF;
CREATE INDEX channel_by_name ON channel (sensor, quantity);

-- The pictures of readings, whose own value is the size in bytes. A picture goes before its reading does when
-- `log.retention.images` says so. `data` stands last: what is before it is read without touching it.
CREATE TABLE image (
  row INTEGER PRIMARY KEY REFERENCES reading (id) ON DELETE CASCADE,
  content_type TEXT NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  sha256 TEXT NOT NULL,       -- hexadecimal
  data BLOB NOT NULL
) STRICT;

CREATE VIEW readings (id, time, ts, device, sensor, quantity, value, unit, latitude, longitude, clock) AS
SELECT reading.id,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000), time || 'µs'),
  time / 1e6, device, sensor, quantity, value, unit, latitude, longitude,
  CASE WHEN flags & 1 THEN 'unsynced' WHEN flags & 4 THEN 'corrected' ELSE 'synced' END
FROM reading JOIN channel ON channel.id = reading.channel;

CREATE VIEW refused (id, time, ts, reason, sensor, quantity, topic, value) AS
SELECT refusal.row,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (refusal.time - (refusal.time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (refusal.time % 1000000 + 1000000) % 1000000), refusal.time || 'µs'),
  refusal.time / 1e6, reason, sensor, quantity, topic, value
FROM refusal LEFT JOIN reading ON reading.id = refusal.row LEFT JOIN channel ON channel.id = reading.channel;

CREATE VIEW images (id, time, ts, device, sensor, quantity, content_type, width, height, size, sha256, data, clock) AS
SELECT image.row,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000), time || 'µs'),
  time / 1e6, device, sensor, quantity, content_type, width, height, octet_length(data), sha256, data,
  CASE WHEN flags & 1 THEN 'unsynced' WHEN flags & 4 THEN 'corrected' ELSE 'synced' END
FROM image JOIN reading ON reading.id = image.row JOIN channel ON channel.id = reading.channel;
