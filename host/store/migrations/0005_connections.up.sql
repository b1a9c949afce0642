-- auth: the id of the manifest's scheme. account_id: as the provider calls the account; it is linked once. scopes: what was
-- granted, with spaces between; NULL: not known. version: of the active credential. refresh_by: who asks for a new token now,
-- until refresh_until at most. retry_at: while errored.
ALTER TABLE connections ADD COLUMN auth TEXT NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN account_id TEXT;
ALTER TABLE connections ADD COLUMN account_name TEXT;
ALTER TABLE connections ADD COLUMN scopes TEXT;
ALTER TABLE connections ADD COLUMN expires_at BIGINT;
ALTER TABLE connections ADD COLUMN error TEXT;
ALTER TABLE connections ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE connections ADD COLUMN refresh_by TEXT;
ALTER TABLE connections ADD COLUMN refresh_until BIGINT;
ALTER TABLE connections ADD COLUMN retry_at BIGINT;
CREATE UNIQUE INDEX connections_account ON connections (user_id, provider, auth, account_id) WHERE account_id IS NOT NULL;

-- A sign-in that a person has begun. state_hash: of what comes back in the redirect; sealed: PKCE verifier or device code.
-- status: pending, completed, failed.
CREATE TABLE authorizations (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  provider TEXT NOT NULL,
  auth TEXT NOT NULL,
  grant_type TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  connection_id TEXT,
  state_hash TEXT UNIQUE,
  -- sqlite: sealed BLOB NOT NULL,
  -- postgresql: sealed BYTEA NOT NULL,
  status TEXT NOT NULL,
  error TEXT,
  interval_ms BIGINT NOT NULL DEFAULT 0,
  poll_at BIGINT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX authorizations_user ON authorizations (user_id, id);
CREATE INDEX authorizations_expiry ON authorizations (expires_at);
CREATE INDEX authorizations_poll ON authorizations (poll_at) WHERE poll_at IS NOT NULL;

-- How what a connection may do has changed. kind: expanded, downgraded, revoked, reconsent_requested, reconsent_completed.
CREATE TABLE grant_changes (
  id TEXT PRIMARY KEY,
  connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX grant_changes_connection ON grant_changes (connection_id, id);

-- Who did what. actor: a user's id, or 'host'.
CREATE TABLE audit_entries (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX audit_entries_user ON audit_entries (user_id, id);

-- What a person should know. A later one of the same kind and subject takes the place of one that was not read.
CREATE TABLE notifications (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  message TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  read_at BIGINT
);
CREATE INDEX notifications_user ON notifications (user_id, id);

-- The connection that a run rests for: when it is active again, the run goes on.
ALTER TABLE runs ADD COLUMN waits_for TEXT;
CREATE INDEX runs_waiting_for ON runs (waits_for) WHERE waits_for IS NOT NULL;
