CREATE TABLE users (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token_hash TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  prefix TEXT NOT NULL,
  key_hash TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT
);
CREATE INDEX api_keys_user ON api_keys (user_id);

CREATE TABLE connections (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  provider TEXT NOT NULL,
  name TEXT NOT NULL,
  auth_type TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (user_id, name)
);

-- One active version a connection; sealed is the vault's envelope.
CREATE TABLE credentials (
  id TEXT PRIMARY KEY,
  connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  -- sqlite: sealed BLOB NOT NULL,
  -- postgresql: sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (connection_id, version)
);

CREATE TABLE flows (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  definition TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX flows_user ON flows (user_id, id);

-- What a run was started with stays readable, and its run can go on, after the flow was edited or removed.
CREATE TABLE flow_versions (
  flow_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  definition TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (flow_id, version)
);

-- One live trigger node. token is the last part of its callback URL; secret is sealed by the vault.
CREATE TABLE watches (
  id TEXT PRIMARY KEY,
  flow_id TEXT NOT NULL REFERENCES flows (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL,
  flow_version INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  trigger_name TEXT NOT NULL,
  params TEXT NOT NULL,
  connection_id TEXT,
  token TEXT NOT NULL UNIQUE,
  -- sqlite: secret BLOB NOT NULL,
  -- postgresql: secret BYTEA NOT NULL,
  state TEXT,
  state_version INTEGER NOT NULL,
  status TEXT NOT NULL,
  error TEXT,
  next_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX watches_flow ON watches (flow_id);

-- One inbound webhook request, raw; body is packed where it is shorter than body_size (journal/packed_body).
-- status: pending, processing, processed, retry_ready, dead.
CREATE TABLE deliveries (
  id TEXT PRIMARY KEY,
  watch_id TEXT NOT NULL,
  flow_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  method TEXT NOT NULL,
  query TEXT NOT NULL,
  headers TEXT NOT NULL,
  -- sqlite: body BLOB NOT NULL,
  -- postgresql: body BYTEA NOT NULL,
  body_size BIGINT NOT NULL,
  status TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  next_at BIGINT,
  http_status INTEGER,
  events INTEGER NOT NULL,
  error TEXT
);
CREATE INDEX deliveries_user ON deliveries (user_id, id);
CREATE INDEX deliveries_open ON deliveries (next_at) WHERE status IN ('pending', 'processing', 'retry_ready');

-- One thing that happened, and the run that it started. data is NULL when it is the body of its delivery, word for word.
CREATE TABLE events (
  id TEXT PRIMARY KEY,
  watch_id TEXT NOT NULL,
  event_key TEXT NOT NULL,
  delivery_id TEXT,
  run_id TEXT NOT NULL,
  data TEXT,
  occurred_at BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  UNIQUE (watch_id, event_key)
-- sqlite: ) WITHOUT ROWID;
-- postgresql: );
CREATE INDEX events_delivery ON events (delivery_id) WHERE delivery_id IS NOT NULL;

-- One execution of a flow for one event. status: pending, running, completed, failed, cancelled, paused.
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  flow_id TEXT NOT NULL,
  flow_version INTEGER NOT NULL,
  user_id TEXT NOT NULL,
  watch_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  error TEXT
-- sqlite: ) WITHOUT ROWID;
-- postgresql: );
CREATE INDEX runs_user ON runs (user_id, id);
CREATE INDEX runs_flow ON runs (flow_id, id);
CREATE INDEX runs_open ON runs (id) WHERE status IN ('pending', 'running');

-- One node's execution. status: running (a retry waits until next_at), completed, failed, skipped.
CREATE TABLE steps (
  run_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  status TEXT NOT NULL,
  port TEXT,
  attempt INTEGER NOT NULL,
  input TEXT,
  output TEXT,
  error TEXT,
  started_at BIGINT NOT NULL,
  finished_at BIGINT,
  next_at BIGINT,
  PRIMARY KEY (run_id, node_id)
-- sqlite: ) WITHOUT ROWID;
-- postgresql: );

-- A step that failed for good, until somebody replays or dismisses it.
CREATE TABLE dead_letters (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX dead_letters_user ON dead_letters (user_id, id);
