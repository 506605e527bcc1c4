-- The rule `rising`: three rises in a row, the last above 400. FILE and OUT stand for paths.
CREATE TABLE events (
  `type` STRING,
  subject STRING,
  data ROW<level BIGINT, n BIGINT>,
  arrived AS PROCTIME()
) WITH ('connector' = 'filesystem', 'path' = 'FILE', 'format' = 'json');

CREATE TABLE alerts (
  gauge STRING,
  level BIGINT,
  n BIGINT
) WITH ('connector' = 'filesystem', 'path' = 'OUT', 'format' = 'json');

INSERT INTO alerts
SELECT gauge, level, n
FROM (SELECT subject, data.level AS level, data.n AS n, arrived FROM events WHERE `type` = 'gauge.level')
MATCH_RECOGNIZE (
  PARTITION BY subject
  ORDER BY arrived
  MEASURES D.subject AS gauge, D.level AS level, D.n AS n
  ONE ROW PER MATCH
  AFTER MATCH SKIP TO NEXT ROW
  PATTERN (A B C D)
  DEFINE
    B AS B.level > A.level,
    C AS C.level > B.level,
    D AS D.level > C.level AND D.level > 400
);
