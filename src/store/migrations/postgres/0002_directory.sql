-- Users, groups and memberships that Mesibo has, as far as the facade knows. Never tokens.
--
-- state: 0 confirmed, 1 uncertain, 2 a write is under way. prior: the state before that
-- write, 3 if there was no row. ticket: the last write's; a negative one is nobody's.
-- check_at: when the row may be looked up at Mesibo. Times are milliseconds since
-- 1970-01-01 UTC, by the clock of the server. Ids are unsigned numbers of 64 bits, in
-- two's complement.
CREATE TABLE directory_users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app text COLLATE "C" NOT NULL,
    uid bigint,
    address text COLLATE "C",
    name text,
    active smallint,
    flags bigint,
    state smallint NOT NULL,
    prior smallint NOT NULL DEFAULT 3,
    ticket bigint NOT NULL DEFAULT 0,
    check_at bigint NOT NULL,
    checks smallint NOT NULL DEFAULT 0,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    UNIQUE (app, address),
    UNIQUE (app, uid)
);

CREATE INDEX directory_users_uncertain ON directory_users (app, check_at) WHERE state <> 0;

-- Few are disabled: who looks for them must not read all.
CREATE INDEX directory_users_disabled ON directory_users (app, address) WHERE active = 0;

-- A group whose creation has no answer has no gid.
CREATE TABLE directory_groups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app text COLLATE "C" NOT NULL,
    gid bigint,
    name text COLLATE "C" NOT NULL DEFAULT '',
    active smallint,
    flags bigint,
    state smallint NOT NULL,
    prior smallint NOT NULL DEFAULT 3,
    ticket bigint NOT NULL DEFAULT 0,
    check_at bigint NOT NULL,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    UNIQUE (app, gid)
);

CREATE INDEX directory_groups_name ON directory_groups (app, name, id);
CREATE INDEX directory_groups_new ON directory_groups (app, ticket) WHERE gid IS NULL;
CREATE INDEX directory_groups_uncertain ON directory_groups (app, check_at) WHERE state <> 0;

-- known: which permissions are known, a bit for each; granted: which of these are granted.
CREATE TABLE directory_members (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app text COLLATE "C" NOT NULL,
    gid bigint NOT NULL,
    address text COLLATE "C" NOT NULL,
    known smallint NOT NULL DEFAULT 0,
    granted smallint NOT NULL DEFAULT 0,
    state smallint NOT NULL,
    prior smallint NOT NULL DEFAULT 3,
    ticket bigint NOT NULL DEFAULT 0,
    check_at bigint NOT NULL,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    UNIQUE (app, gid, address)
);

CREATE INDEX directory_members_address ON directory_members (app, address, gid);
CREATE INDEX directory_members_uncertain ON directory_members (app, check_at) WHERE state <> 0;

-- When the next user of an app may be looked up at Mesibo, by whichever process.
CREATE TABLE directory_turns (
    app text COLLATE "C" PRIMARY KEY,
    next_at bigint NOT NULL
);
