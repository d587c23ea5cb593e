-- From version 3 to 4: roll-ups, so that a month of a quantity need not be read row by row.

-- What the readings of one channel in one interval of time come to. An interval without a row here is read from
-- `reading`: a row is only kept where there are many readings, and a missing one is never wrong. One that is here is
-- exact for the readings with id <= progress.rolled; those after are few and are added by whoever asks.
CREATE TABLE rollup (
  channel INTEGER NOT NULL,
  minutes INTEGER NOT NULL,   -- length of the interval
  slot INTEGER NOT NULL,      -- which: so many whole intervals after 1970
  count INTEGER NOT NULL,
  least REAL NOT NULL,
  most REAL NOT NULL,
  sum REAL NOT NULL,
  first ANY NOT NULL,         -- value of the oldest reading, and how long after the beginning it was taken, µs
  first_after INTEGER NOT NULL,
  last ANY NOT NULL,
  last_after INTEGER NOT NULL,
  PRIMARY KEY (channel, minutes, slot)
) STRICT, WITHOUT ROWID;
ALTER TABLE progress ADD COLUMN rolled INTEGER NOT NULL DEFAULT 0;

-- Intervals in which readings were changed: to be made anew when there is time.
CREATE TABLE stale (
  channel INTEGER NOT NULL,
  minutes INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  PRIMARY KEY (channel, minutes, slot)
) STRICT, WITHOUT ROWID;

-- Whoever deletes or changes a reading, no roll-up stays that says otherwise. `x - mod(x)` is floor().
CREATE TRIGGER reading_deleted AFTER DELETE ON reading WHEN old.id <= (SELECT rolled FROM progress) BEGIN
  DELETE FROM rollup WHERE channel = old.channel AND minutes = 60
    AND slot = (old.time - (old.time % 3600000000 + 3600000000) % 3600000000) / 3600000000;
  DELETE FROM rollup WHERE channel = old.channel AND minutes = 5
    AND slot = (old.time - (old.time % 300000000 + 300000000) % 300000000) / 300000000;
  DELETE FROM rollup WHERE channel = old.channel AND minutes = 1
    AND slot = (old.time - (old.time % 60000000 + 60000000) % 60000000) / 60000000;
END;
CREATE TRIGGER reading_changed AFTER UPDATE OF channel, time, value ON reading
WHEN old.id <= (SELECT rolled FROM progress) BEGIN
  DELETE FROM rollup WHERE channel = old.channel AND minutes = 60
    AND slot = (old.time - (old.time % 3600000000 + 3600000000) % 3600000000) / 3600000000;
  DELETE FROM rollup WHERE channel = old.channel AND minutes = 5
    AND slot = (old.time - (old.time % 300000000 + 300000000) % 300000000) / 300000000;
  DELETE FROM rollup WHERE channel = old.channel AND minutes = 1
    AND slot = (old.time - (old.time % 60000000 + 60000000) % 60000000) / 60000000;
  INSERT OR IGNORE INTO stale VALUES
    (old.channel, 60, (old.time - (old.time % 3600000000 + 3600000000) % 3600000000) / 3600000000),
    (old.channel, 5, (old.time - (old.time % 300000000 + 300000000) % 300000000) / 300000000),
    (old.channel, 1, (old.time - (old.time % 60000000 + 60000000) % 60000000) / 60000000);
  DELETE FROM rollup WHERE channel = new.channel AND minutes = 60
    AND slot = (new.time - (new.time % 3600000000 + 3600000000) % 3600000000) / 3600000000;
  DELETE FROM rollup WHERE channel = new.channel AND minutes = 5
    AND slot = (new.time - (new.time % 300000000 + 300000000) % 300000000) / 300000000;
  DELETE FROM rollup WHERE channel = new.channel AND minutes = 1
    AND slot = (new.time - (new.time % 60000000 + 60000000) % 60000000) / 60000000;
  INSERT OR IGNORE INTO stale VALUES
    (new.channel, 60, (new.time - (new.time % 3600000000 + 3600000000) % 3600000000) / 3600000000),
    (new.channel, 5, (new.time - (new.time % 300000000 + 300000000) % 300000000) / 300000000),
    (new.channel, 1, (new.time - (new.time % 60000000 + 60000000) % 60000000) / 60000000);
END;
