-- From version 2 to 3: the time since boot of unsynchronised readings, once for many.

-- Both clocks of a machine run at one speed: while neither is set, `time - since_boot` stays the same. So not each
-- row keeps its time since boot, but each stretch of rows how far its wall clock was ahead of it. A reading whose
-- flags say unsynced belongs to the last stretch with first_row <= its id.
CREATE TABLE stretch (
  first_row INTEGER PRIMARY KEY,
  ahead INTEGER NOT NULL      -- µs
) STRICT;
-- A new stretch where the two are more than a millisecond from those of the row before.
INSERT INTO stretch
SELECT row, ahead FROM (
  SELECT row, time - since_boot AS ahead, lag(time - since_boot) OVER (ORDER BY row) AS before
  FROM unsynced JOIN reading ON reading.id = unsynced.row
) WHERE before IS NULL OR abs(ahead - before) > 1000;
DROP TABLE unsynced;
