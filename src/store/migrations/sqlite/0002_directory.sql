-- Users, groups and memberships that Mesibo has, as far as the facade knows. Never tokens.
--
-- state: 0 confirmed, 1 uncertain, 2 a write is under way. prior: the state before that
-- write, 3 if there was no row. ticket: the last write's; a negative one is nobody's.
-- check_at: when the row may be looked up at Mesibo. Times are milliseconds since
-- 1970-01-01 UTC, by the clock of this machine. Ids are unsigned numbers of 64 bits, in
-- two's complement.
CREATE TABLE directory_users (
    id INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    uid INTEGER,
    address TEXT,
    name TEXT,
    active INTEGER,
    flags INTEGER,
    state INTEGER NOT NULL,
    prior INTEGER NOT NULL DEFAULT 3,
    ticket INTEGER NOT NULL DEFAULT 0,
    check_at INTEGER NOT NULL,
    checks INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    UNIQUE (app, address)
) STRICT;

-- A user that is being made has no uid, and is written once more when it has.
CREATE UNIQUE INDEX directory_users_uid ON directory_users (app, uid) WHERE uid IS NOT NULL;
CREATE INDEX directory_users_uncertain ON directory_users (app, check_at) WHERE state <> 0;

-- Few are disabled: who looks for them must not read all.
CREATE INDEX directory_users_disabled ON directory_users (app, address) WHERE active = 0;

-- A group whose creation has no answer has no gid.
CREATE TABLE directory_groups (
    id INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    gid INTEGER,
    name TEXT NOT NULL DEFAULT '',
    active INTEGER,
    flags INTEGER,
    state INTEGER NOT NULL,
    prior INTEGER NOT NULL DEFAULT 3,
    ticket INTEGER NOT NULL DEFAULT 0,
    check_at INTEGER NOT NULL,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    UNIQUE (app, gid)
) STRICT;

CREATE INDEX directory_groups_name ON directory_groups (app, name, id);
CREATE INDEX directory_groups_new ON directory_groups (app, ticket) WHERE gid IS NULL;
CREATE INDEX directory_groups_uncertain ON directory_groups (app, check_at) WHERE state <> 0;

-- known: which permissions are known, a bit for each; granted: which of these are granted.
CREATE TABLE directory_members (
    id INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    gid INTEGER NOT NULL,
    address TEXT NOT NULL,
    known INTEGER NOT NULL DEFAULT 0,
    granted INTEGER NOT NULL DEFAULT 0,
    state INTEGER NOT NULL,
    prior INTEGER NOT NULL DEFAULT 3,
    ticket INTEGER NOT NULL DEFAULT 0,
    check_at INTEGER NOT NULL,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    UNIQUE (app, gid, address)
) STRICT;

CREATE INDEX directory_members_address ON directory_members (app, address, gid);
CREATE INDEX directory_members_uncertain ON directory_members (app, check_at) WHERE state <> 0;

-- When the next user of an app may be looked up at Mesibo, by whichever process.
CREATE TABLE directory_turns (
    app TEXT PRIMARY KEY,
    next_at INTEGER NOT NULL
) STRICT;
