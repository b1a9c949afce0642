ALTER TABLE runs DROP COLUMN replay_from;
ALTER TABLE runs DROP COLUMN replay_of;
