-- The history of checks. A `spot` is a check key, its `pulse` a streak, a `letter` a message.
CREATE TABLE backout.watch_spot (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, target text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL, host text COLLATE "C" NOT NULL, tick double precision,
    pulse text NOT NULL DEFAULT '{}', memory text NOT NULL DEFAULT '{}',
    UNIQUE (target, name, host));

CREATE TABLE backout.watch_look (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spot integer NOT NULL REFERENCES backout.watch_spot, at bigint NOT NULL,
    verdict integer NOT NULL, elapsed bigint NOT NULL, queued bigint NOT NULL, reason text);
CREATE INDEX watch_look_of_spot ON backout.watch_look (spot, at);

CREATE TABLE backout.watch_hour (
    spot integer NOT NULL REFERENCES backout.watch_spot, at bigint NOT NULL, body bytea NOT NULL,
    PRIMARY KEY (spot, at));
CREATE TABLE backout.watch_day (
    spot integer NOT NULL REFERENCES backout.watch_spot, at bigint NOT NULL, body bytea NOT NULL,
    PRIMARY KEY (spot, at));

CREATE TABLE backout.watch_incident (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spot integer NOT NULL REFERENCES backout.watch_spot, kind text NOT NULL,
    since double precision NOT NULL, opened double precision NOT NULL, evidence text NOT NULL,
    told double precision, acked text NOT NULL DEFAULT '', resolved double precision);
CREATE UNIQUE INDEX watch_one_open ON backout.watch_incident (spot) WHERE resolved IS NULL;

CREATE TABLE backout.watch_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, target text COLLATE "C" NOT NULL,
    destination text COLLATE "C" NOT NULL, kind text NOT NULL, key text COLLATE "C" NOT NULL,
    title text NOT NULL, body text NOT NULL, created double precision NOT NULL,
    incident integer NOT NULL, attempts integer NOT NULL DEFAULT 0,
    retry_at double precision NOT NULL DEFAULT 0, failure text NOT NULL DEFAULT '',
    ended double precision, outcome text NOT NULL DEFAULT '', digest bigint);
CREATE UNIQUE INDEX watch_letter_once ON backout.watch_letter (destination, key);
CREATE INDEX watch_letter_waits ON backout.watch_letter (destination, id) WHERE ended IS NULL;

CREATE TABLE backout.watch_silence (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, target text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL, until double precision NOT NULL, by text NOT NULL);

CREATE TABLE backout.watch_snapshot (
    spot integer PRIMARY KEY REFERENCES backout.watch_spot, release integer NOT NULL,
    at double precision NOT NULL, body text NOT NULL);

CREATE TABLE backout.watch_revert (
    run text COLLATE "C" PRIMARY KEY, target text COLLATE "C" NOT NULL,
    at double precision NOT NULL, why text NOT NULL, ended double precision,
    outcome text NOT NULL DEFAULT '');

CREATE TABLE backout.watch_meta (name text COLLATE "C" PRIMARY KEY, value text NOT NULL);

-- Which process watches a target: whoever takes it over raises the epoch, and what the one before
-- writes is refused. Its signs of life are counted, so that no two clocks are compared.
CREATE TABLE backout.watch_post (
    target text COLLATE "C" PRIMARY KEY, epoch integer NOT NULL, beat bigint NOT NULL,
    process text NOT NULL, by text NOT NULL, since text NOT NULL);
