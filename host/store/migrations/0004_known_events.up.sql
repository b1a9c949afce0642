-- A delivery that brought an event whose key was known says which one that was.
ALTER TABLE deliveries ADD COLUMN known_event TEXT;
