-- Millions of readings in seconds, for a log that nobody has open: `fill.rs` and `tests/web/scene.py` run this, statement
-- by statement, each ended by an empty line. The parameters are numbers but :quantity.

CREATE TEMP TABLE turn (place INTEGER PRIMARY KEY, channel INTEGER NOT NULL);

INSERT INTO turn SELECT row_number() OVER (ORDER BY id) - 1, id FROM channel WHERE quantity = :quantity;

WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :readings)
INSERT INTO reading (id, channel, time, value, flags)
SELECT :last + i, (SELECT channel FROM turn WHERE place = i % (SELECT count(*) FROM turn)),
  CASE WHEN i <= :readings / 2 THEN :newest - 30 * 86400000000 + i * (29 * 86400000000 / (:readings / 2))
    ELSE :newest - 86400000000 + (i - :readings / 2) * (86400000000 / (:readings / 2)) END,
  20 + i * 7919 % 997 / 101.0, 0
FROM n;

UPDATE progress SET cursor = :last + :readings;
