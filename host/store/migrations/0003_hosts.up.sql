-- The processes that carry out what is here. beat grows while one lives; a row that is removed shuts its writes out.
CREATE TABLE hosts (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  beat BIGINT NOT NULL,
  started_at BIGINT NOT NULL
);

-- host: who carries it out; NULL: nobody yet, and not before wake_at (NULL: not before its lane lets it). Of a lane's open
-- runs the lane_width oldest may be carried out. interrupted: its host died, so nobody knows what was begun.
ALTER TABLE runs ADD COLUMN host TEXT;
ALTER TABLE runs ADD COLUMN wake_at BIGINT;
ALTER TABLE runs ADD COLUMN lane TEXT;
ALTER TABLE runs ADD COLUMN lane_width INTEGER;
ALTER TABLE runs ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET wake_at = created_at, interrupted = 1 WHERE status IN ('pending', 'running');
CREATE INDEX runs_free ON runs (wake_at, flow_id) WHERE host IS NULL AND status IN ('pending', 'running');
CREATE INDEX runs_blocked ON runs (lane, id)
  WHERE lane IS NOT NULL AND host IS NULL AND wake_at IS NULL AND status IN ('pending', 'running');
CREATE INDEX runs_lane ON runs (lane, id) WHERE lane IS NOT NULL AND status IN ('pending', 'running');

-- host: who polls, renews or ends it; NULL: nobody. revision grows with each change of its state or its flow's version:
-- what was worked out from an older one is not taken.
ALTER TABLE watches ADD COLUMN host TEXT;
ALTER TABLE watches ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE INDEX watches_free ON watches (id) WHERE host IS NULL AND (next_at IS NOT NULL OR status <> 'active');
