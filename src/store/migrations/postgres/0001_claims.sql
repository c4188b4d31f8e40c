-- The space that is left in each page keeps settlements out of the indexes (HOT updates).
CREATE TABLE claims (
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL,
    id uuid NOT NULL,
    ticket uuid NOT NULL,
    -- 0 under way, 1 done, 2 unknown.
    state smallint NOT NULL DEFAULT 0,
    -- Whether another process waits for the outcome, and has to be notified.
    waited boolean NOT NULL DEFAULT false,
    app text NOT NULL,
    caller text NOT NULL,
    rpc text NOT NULL,
    request bytea NOT NULL,
    answer bytea NOT NULL DEFAULT '',
    PRIMARY KEY (app, caller, rpc, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- For deleting the oldest.
CREATE INDEX claims_created ON claims (created);
