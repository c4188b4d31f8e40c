-- Times are milliseconds since 1970-01-01 UTC, by the clock of this machine.
-- Rows are deleted from the oldest on, in the order of their row numbers.
CREATE TABLE claims (
    app TEXT NOT NULL,
    caller TEXT NOT NULL,
    rpc TEXT NOT NULL,
    id BLOB NOT NULL,
    ticket BLOB NOT NULL,
    request BLOB NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    -- 0 under way, 1 done, 2 unknown.
    state INTEGER NOT NULL DEFAULT 0,
    answer BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (app, caller, rpc, id)
) STRICT;
