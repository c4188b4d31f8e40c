-- Times are milliseconds since 1970-01-01 UTC, by the clock of this machine.
-- Rows are deleted from the oldest on, in the order of their row numbers.
CREATE TABLE claims (
    -- Whose the id is, a number in scopes.
    scope INTEGER NOT NULL,
    id BLOB NOT NULL,
    ticket BLOB NOT NULL,
    request BLOB NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    -- 0 under way, 1 done, 2 unknown.
    state INTEGER NOT NULL DEFAULT 0,
    answer BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (id, scope)
) STRICT;

-- Numbers in the place of names: each claim has one, in its row and in the index.
CREATE TABLE scopes (
    number INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    caller TEXT NOT NULL,
    rpc TEXT NOT NULL,
    UNIQUE (app, caller, rpc)
) STRICT;
