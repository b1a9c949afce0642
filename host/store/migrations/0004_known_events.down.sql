ALTER TABLE deliveries DROP COLUMN known_event;
