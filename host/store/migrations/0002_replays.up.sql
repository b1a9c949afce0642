-- A run may be another one made again, from the start or from a node on.
ALTER TABLE runs ADD COLUMN replay_of TEXT;
ALTER TABLE runs ADD COLUMN replay_from TEXT;
