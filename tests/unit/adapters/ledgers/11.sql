SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA backout;
CREATE FUNCTION backout.append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP <> 'TRUNCATE' AND backout.forgetting() THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'BK003';
END $$;
CREATE FUNCTION backout.forgetting() RETURNS boolean
    LANGUAGE sql STABLE
    AS $$ SELECT coalesce(current_setting('backout.forgetting', true), '') = 'on' $$;
CREATE FUNCTION backout.record_fenced() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE known record;
BEGIN
    SELECT epoch, outcome, driven_by INTO known FROM backout.run WHERE id = NEW.run FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no run %', NEW.run USING ERRCODE = 'BK002';
    END IF;
    IF NEW.epoch IS NULL THEN
        NEW.epoch := known.epoch;
    ELSIF NEW.epoch <> known.epoch THEN
        RAISE EXCEPTION '%', known.driven_by USING ERRCODE = 'BK001';
    ELSIF known.outcome IS NOT NULL THEN
        RAISE EXCEPTION 'the run is closed' USING ERRCODE = 'BK002';
    END IF;
    PERFORM pg_notify('backout', NEW.run);
    RETURN NEW;
END $$;
CREATE FUNCTION backout.run_written() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.plan_digest := encode(sha256(convert_to(NEW.plan, 'UTF8')), 'hex');
        RETURN NEW;
    END IF;
    IF OLD.outcome IS NOT NULL THEN
        RAISE EXCEPTION 'the run is closed' USING ERRCODE = 'BK002';
    END IF;
    IF NEW.epoch < OLD.epoch THEN
        RAISE EXCEPTION 'an epoch never goes back' USING ERRCODE = 'BK002';
    END IF;
    PERFORM pg_notify('backout', NEW.id);
    RETURN NEW;
END $$;
CREATE TABLE backout.answer (
    request text NOT NULL COLLATE pg_catalog."C",
    step text NOT NULL COLLATE pg_catalog."C",
    asked_by text NOT NULL,
    answered_by text NOT NULL,
    who text NOT NULL,
    answer text NOT NULL,
    reason text NOT NULL,
    at text NOT NULL COLLATE pg_catalog."C",
    role text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT answer_answer_check CHECK ((answer = ANY (ARRAY['yes'::text, 'no'::text]))),
    CONSTRAINT answer_check CHECK ((answered_by <> asked_by))
);
CREATE UNLOGGED TABLE backout.carrier (
    id text NOT NULL COLLATE pg_catalog."C",
    zone text NOT NULL COLLATE pg_catalog."C",
    by text NOT NULL,
    key bytea NOT NULL,
    beat bigint NOT NULL,
    stopping boolean NOT NULL,
    seen timestamp with time zone NOT NULL
);
CREATE TABLE backout.ledger (
    target text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    commit text NOT NULL,
    run text NOT NULL COLLATE pg_catalog."C",
    at text NOT NULL,
    known_good integer NOT NULL,
    covers text NOT NULL
);
CREATE TABLE backout.letter (
    id bigint NOT NULL,
    target text NOT NULL COLLATE pg_catalog."C",
    destination text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    title text NOT NULL,
    body text NOT NULL,
    created double precision NOT NULL,
    incident integer NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at double precision DEFAULT 0 NOT NULL,
    failure text DEFAULT ''::text NOT NULL,
    ended double precision,
    outcome text DEFAULT ''::text NOT NULL,
    digest bigint
);
ALTER TABLE backout.letter ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.number (
    target text NOT NULL COLLATE pg_catalog."C",
    last integer NOT NULL
);
CREATE UNLOGGED TABLE backout.parcel (
    id text NOT NULL COLLATE pg_catalog."C",
    carrier text NOT NULL COLLATE pg_catalog."C",
    asker text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL,
    key bytea NOT NULL,
    body bytea NOT NULL,
    asked timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    taken timestamp with time zone,
    answered timestamp with time zone,
    answer bytea
);
CREATE TABLE backout.pulse (
    run text NOT NULL COLLATE pg_catalog."C",
    beat bigint NOT NULL
);
CREATE TABLE backout.record (
    seq bigint NOT NULL,
    run text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    key text NOT NULL,
    at text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL,
    n integer DEFAULT 0 NOT NULL,
    prev text DEFAULT ''::text NOT NULL,
    hash text DEFAULT ''::text NOT NULL,
    epoch integer NOT NULL
);
ALTER TABLE backout.record ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.record_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.request (
    id text NOT NULL COLLATE pg_catalog."C",
    step text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    digest text NOT NULL,
    needed integer NOT NULL,
    asker text NOT NULL,
    asked_by text NOT NULL,
    asked text NOT NULL COLLATE pg_catalog."C",
    expires text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL
);
CREATE TABLE backout.restored (
    run text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    rowid bigint NOT NULL
);
ALTER TABLE backout.restored ALTER COLUMN rowid ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.restored_rowid_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.run (
    id text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    verb text NOT NULL,
    runbook text NOT NULL,
    plan text NOT NULL,
    owner text NOT NULL,
    started text NOT NULL COLLATE pg_catalog."C",
    options text NOT NULL,
    ended text COLLATE pg_catalog."C",
    outcome text,
    exit_code integer,
    report text,
    rowid bigint NOT NULL,
    epoch integer DEFAULT 0 NOT NULL,
    driver text DEFAULT ''::text NOT NULL,
    driven_by text DEFAULT ''::text NOT NULL,
    zone text DEFAULT ''::text NOT NULL,
    plan_digest text DEFAULT ''::text NOT NULL,
    sealed text DEFAULT ''::text NOT NULL
);
ALTER TABLE backout.run ALTER COLUMN rowid ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.run_rowid_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.settled (
    token text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE backout.spent (
    request text NOT NULL COLLATE pg_catalog."C",
    step text NOT NULL COLLATE pg_catalog."C",
    run text NOT NULL COLLATE pg_catalog."C",
    at text NOT NULL
);
CREATE TABLE backout.spoken (
    run text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    asked integer NOT NULL,
    answer text NOT NULL,
    who text NOT NULL,
    at text NOT NULL COLLATE pg_catalog."C",
    role text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT spoken_answer_check CHECK ((answer = ANY (ARRAY['again'::text, 'done'::text, 'back-out'::text])))
);
CREATE TABLE backout.token (
    name text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL,
    digest text NOT NULL,
    at text NOT NULL,
    made_by text NOT NULL,
    CONSTRAINT token_role_check CHECK ((role = ANY (ARRAY['look'::text, 'acknowledge'::text, 'approve'::text, 'deploy'::text])))
);
CREATE TABLE backout.told (
    seq bigint NOT NULL,
    run text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL
);
ALTER TABLE backout.told ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.told_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.undone (
    run text NOT NULL COLLATE pg_catalog."C",
    by text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE backout.version (
    number integer NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    by text NOT NULL
);
CREATE TABLE backout.waiter (
    id text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    ticket integer NOT NULL,
    beat integer NOT NULL,
    person text NOT NULL,
    machine text NOT NULL,
    pid integer NOT NULL,
    waits_for text NOT NULL,
    since text NOT NULL
);
CREATE TABLE backout.watch_asked (
    target text NOT NULL COLLATE pg_catalog."C",
    digest text NOT NULL,
    body text NOT NULL
);
CREATE TABLE backout.watch_day (
    spot integer NOT NULL,
    at bigint NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE backout.watch_hour (
    spot integer NOT NULL,
    at bigint NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE backout.watch_incident (
    id integer NOT NULL,
    spot integer NOT NULL,
    kind text NOT NULL,
    since double precision NOT NULL,
    opened double precision NOT NULL,
    evidence text NOT NULL,
    told double precision,
    acked text DEFAULT ''::text NOT NULL,
    resolved double precision
);
ALTER TABLE backout.watch_incident ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.watch_incident_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.watch_letter (
    id bigint NOT NULL,
    target text NOT NULL COLLATE pg_catalog."C",
    destination text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    title text NOT NULL,
    body text NOT NULL,
    created double precision NOT NULL,
    incident integer NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at double precision DEFAULT 0 NOT NULL,
    failure text DEFAULT ''::text NOT NULL,
    ended double precision,
    outcome text DEFAULT ''::text NOT NULL,
    digest bigint
);
ALTER TABLE backout.watch_letter ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.watch_letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.watch_look (
    seq bigint NOT NULL,
    spot integer NOT NULL,
    at bigint NOT NULL,
    verdict integer NOT NULL,
    elapsed bigint NOT NULL,
    queued bigint NOT NULL,
    reason text
);
ALTER TABLE backout.watch_look ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.watch_look_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.watch_meta (
    name text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL
);
CREATE TABLE backout.watch_post (
    target text NOT NULL COLLATE pg_catalog."C",
    epoch integer NOT NULL,
    beat bigint NOT NULL,
    process text NOT NULL,
    by text NOT NULL,
    since text NOT NULL
);
CREATE TABLE backout.watch_question (
    target text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    zone text NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    asked timestamp with time zone NOT NULL,
    digest text NOT NULL,
    about text NOT NULL,
    taken bigint DEFAULT 0 NOT NULL,
    by text DEFAULT ''::text NOT NULL,
    worker text DEFAULT ''::text NOT NULL,
    answered bigint DEFAULT 0 NOT NULL,
    answered_by text DEFAULT ''::text NOT NULL,
    at timestamp with time zone,
    findings text DEFAULT '[]'::text NOT NULL,
    memory text DEFAULT '{}'::text NOT NULL
);
CREATE TABLE backout.watch_revert (
    run text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    at double precision NOT NULL,
    why text NOT NULL,
    ended double precision,
    outcome text DEFAULT ''::text NOT NULL
);
CREATE TABLE backout.watch_silence (
    id integer NOT NULL,
    target text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    until double precision NOT NULL,
    by text NOT NULL
);
ALTER TABLE backout.watch_silence ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.watch_silence_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.watch_snapshot (
    spot integer NOT NULL,
    release integer NOT NULL,
    at double precision NOT NULL,
    body text NOT NULL
);
CREATE TABLE backout.watch_spot (
    id integer NOT NULL,
    target text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    tick double precision,
    pulse text DEFAULT '{}'::text NOT NULL,
    memory text DEFAULT '{}'::text NOT NULL
);
ALTER TABLE backout.watch_spot ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME backout.watch_spot_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE backout.wish (
    id text NOT NULL COLLATE pg_catalog."C",
    run text NOT NULL COLLATE pg_catalog."C",
    what text NOT NULL,
    who text NOT NULL,
    at text NOT NULL COLLATE pg_catalog."C"
);
INSERT INTO backout.answer VALUES ('20261122-073403-4f1a', '', 'ann', 'bob', '{"name": "bob", "names": ["bob"], "account": "1001@desk"}', 'yes', '""', '2026-11-22T07:34:00+00:00', 'postgres');
INSERT INTO backout.ledger VALUES ('prod', 1, 'aaa', 'r1', '2026-11-29T02:05:13.990777+00:00', 1, '[]');
INSERT INTO backout.ledger VALUES ('prod', 2, 'bbb', 'r2', '2026-11-29T02:05:14.008921+00:00', 1, '[]');
INSERT INTO backout.number VALUES ('prod', 2);
INSERT INTO backout.record OVERRIDING SYSTEM VALUE VALUES (1, 'r1', 'begin', 'step', '2026-11-29T02:05:13.980779+00:00', '{}', 1, '5b9f2cec3c9dc147c98bf17db80510b324a47482c686e9c83554c6979b78002a', '2cf04cacc4cbf8557a88519d2ea1652ac41438285aadd1a0ca620d11416ef433', 0);
INSERT INTO backout.record OVERRIDING SYSTEM VALUE VALUES (2, 'r1', 'decided', '', '2026-11-29T02:05:13.990777+00:00', '{"outcome": "succeeded", "ledger": {"release": {"number": 1, "commit": "aaa"}, "known_good": true, "covers": [], "restored": null, "undone": []}}', 2, '2cf04cacc4cbf8557a88519d2ea1652ac41438285aadd1a0ca620d11416ef433', 'e9d44152d5bb493b7be802b3a2482366d67f0562bf1e2e13dd2dd51f3cc4f0cb', 0);
INSERT INTO backout.record OVERRIDING SYSTEM VALUE VALUES (3, 'r2', 'begin', 'step', '2026-11-29T02:05:14.003764+00:00', '{}', 1, 'af57d18ee52c860d1ebc3edc77d3b67f8737fa8ec19cc1cc1ce0662de4eebb0b', '7c8e359b15fa1a4914cdc13f7e3d72610a1857868fb84d0e720084067f6921e3', 0);
INSERT INTO backout.record OVERRIDING SYSTEM VALUE VALUES (4, 'r2', 'decided', '', '2026-11-29T02:05:14.008921+00:00', '{"outcome": "succeeded", "ledger": {"release": {"number": 2, "commit": "bbb"}, "known_good": true, "covers": [], "restored": null, "undone": []}}', 2, '7c8e359b15fa1a4914cdc13f7e3d72610a1857868fb84d0e720084067f6921e3', '30ec1123dd4ca0a1d7ca2f724806abebe0743fc9d61b1a82e9810bc199c9f94d', 0);
INSERT INTO backout.record OVERRIDING SYSTEM VALUE VALUES (5, 'back', 'begin', 'undo', '2026-11-29T02:05:14.019560+00:00', '{}', 1, '04c1d36df06d893cee0ab0d480242f344d2b0cbae0b896536a6c614cd85b3487', '4962ced1243a6952d14610bd6e130ca772c9134e9b55896c74f852efb9052069', 0);
INSERT INTO backout.record OVERRIDING SYSTEM VALUE VALUES (6, 'back', 'decided', '', '2026-11-29T02:05:14.022815+00:00', '{"outcome": "succeeded", "ledger": {"release": null, "known_good": false, "covers": [], "restored": 1, "undone": []}}', 2, '4962ced1243a6952d14610bd6e130ca772c9134e9b55896c74f852efb9052069', '167bc1c574106aae8c4fb82c95567c8bfba57ef21489fd84a8073dcb7370869f', 0);
INSERT INTO backout.record OVERRIDING SYSTEM VALUE VALUES (7, 'open', 'begin', 'web1/0', '2026-11-29T02:05:14.039834+00:00', '{"undo": {"text": "true"}}', 1, '84d767b17e21e3983b582238ca1dde7569dd516a3b94ec04cf19bedb40df4928', '3c5e5aa45c34be48f35ebb90d3ca70440403f9f7bf8dc1e71389d9f571f74b4c', 0);
INSERT INTO backout.request VALUES ('20261122-073403-4f1a', '', 'prod', 'd1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1', 1, '{"name": "ann", "names": ["ann"], "account": "1000@laptop"}', 'ann', '2026-11-22T07:34:00+00:00', '2026-11-22T11:34:00+00:00', '{"question": ""}');
INSERT INTO backout.restored OVERRIDING SYSTEM VALUE VALUES ('back', 'prod', 1, 1);
INSERT INTO backout.run OVERRIDING SYSTEM VALUE VALUES ('r1', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', 0, '{"run": "r1"}', 1, 0, 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab', '');
INSERT INTO backout.run OVERRIDING SYSTEM VALUE VALUES ('r2', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', 0, '{"run": "r2"}', 2, 0, 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab', '');
INSERT INTO backout.run OVERRIDING SYSTEM VALUE VALUES ('back', 'prod', 'rollback', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', 0, '{"run": "back"}', 3, 0, 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab', '');
INSERT INTO backout.run OVERRIDING SYSTEM VALUE VALUES ('open', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', NULL, NULL, NULL, NULL, 4, 0, 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab', '');
INSERT INTO backout.settled VALUES ('c4a2aba6dc1a4ad52d779bfd4f29e8c8', '2026-11-29 02:05:13.968642+00');
INSERT INTO backout.settled VALUES ('2ab84f02e81a72e75dc252e4217943d0', '2026-11-29 02:05:13.988141+00');
INSERT INTO backout.settled VALUES ('62b463130423158612c19df0d1bfd72e', '2026-11-29 02:05:13.991535+00');
INSERT INTO backout.settled VALUES ('beef1dfc5317d194ae9cc89485590a4e', '2026-11-29 02:05:13.99798+00');
INSERT INTO backout.settled VALUES ('0ded22073875f03522843950a494c09f', '2026-11-29 02:05:14.000987+00');
INSERT INTO backout.settled VALUES ('528b7a818437d3032e0d923ce1f3b639', '2026-11-29 02:05:14.007465+00');
INSERT INTO backout.settled VALUES ('6222adc1ccbf7eb3376e977da9ab4fd2', '2026-11-29 02:05:14.009561+00');
INSERT INTO backout.settled VALUES ('8efaf7b2bca79db094acc712d99aef34', '2026-11-29 02:05:14.014136+00');
INSERT INTO backout.settled VALUES ('ddd9510a42211530a6f14c59a220964a', '2026-11-29 02:05:14.016894+00');
INSERT INTO backout.settled VALUES ('965a659af4ada61425639d57e03e8f4a', '2026-11-29 02:05:14.023508+00');
INSERT INTO backout.settled VALUES ('fe456fe753293ca9dcf7b571622f8921', '2026-11-29 02:05:14.03426+00');
INSERT INTO backout.settled VALUES ('8c4fe964711ae4cfca3a81002e11b669', '2026-11-29 02:05:14.037162+00');
INSERT INTO backout.settled VALUES ('2650fcd9b492097ec1c6214c08a5fd27', '2026-11-29 04:11:06.977796+00');
INSERT INTO backout.settled VALUES ('b209fd9657b68cc24f0fec04a0a2ccce', '2026-11-29 04:11:07.020695+00');
INSERT INTO backout.settled VALUES ('6cba69b7bcd6d2773ab74a22d87d2fd0', '2026-11-29 04:11:07.056919+00');
INSERT INTO backout.spent VALUES ('20261122-073403-4f1a', '', 'r2', '2026-11-22T07:34:00+00:00');
INSERT INTO backout.undone VALUES ('r2', 'back');
INSERT INTO backout.version VALUES (1, '2026-11-29 02:05:13.905974+00', '0.1.0');
INSERT INTO backout.version VALUES (2, '2026-11-29 02:05:13.905974+00', '0.1.0');
INSERT INTO backout.version VALUES (3, '2026-11-29 04:11:06.776709+00', '0.1.0');
INSERT INTO backout.version VALUES (4, '2026-11-29 04:48:21.184739+00', '0.1.0');
INSERT INTO backout.version VALUES (5, '2026-11-29 04:48:26.521848+00', '0.1.0');
INSERT INTO backout.version VALUES (6, '2026-11-29 05:10:04.336315+00', '0.1.0');
INSERT INTO backout.version VALUES (7, '2026-11-29 14:27:38.634875+00', '0.1.0');
INSERT INTO backout.version VALUES (8, '2026-11-29 17:47:33.390634+00', '0.1.0');
INSERT INTO backout.version VALUES (9, '2026-11-29 18:07:04.513253+00', '0.1.0');
INSERT INTO backout.version VALUES (10, '2026-11-30 10:07:02.647283+00', '0.1.0');
INSERT INTO backout.version VALUES (11, '2026-11-30 16:29:36.233945+00', '0.1.0');
SELECT pg_catalog.setval('backout.letter_id_seq', 1, false);
SELECT pg_catalog.setval('backout.record_seq_seq', 7, true);
SELECT pg_catalog.setval('backout.restored_rowid_seq', 1, true);
SELECT pg_catalog.setval('backout.run_rowid_seq', 4, true);
SELECT pg_catalog.setval('backout.told_seq_seq', 1, false);
SELECT pg_catalog.setval('backout.watch_incident_id_seq', 1, false);
SELECT pg_catalog.setval('backout.watch_letter_id_seq', 1, false);
SELECT pg_catalog.setval('backout.watch_look_seq_seq', 1, false);
SELECT pg_catalog.setval('backout.watch_silence_id_seq', 1, false);
SELECT pg_catalog.setval('backout.watch_spot_id_seq', 1, false);
ALTER TABLE ONLY backout.answer
    ADD CONSTRAINT answer_pkey PRIMARY KEY (request, step, answered_by);
ALTER TABLE ONLY backout.carrier
    ADD CONSTRAINT carrier_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (target, number);
ALTER TABLE ONLY backout.letter
    ADD CONSTRAINT letter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.number
    ADD CONSTRAINT number_pkey PRIMARY KEY (target);
ALTER TABLE ONLY backout.parcel
    ADD CONSTRAINT parcel_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.pulse
    ADD CONSTRAINT pulse_pkey PRIMARY KEY (run);
ALTER TABLE ONLY backout.record
    ADD CONSTRAINT record_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY backout.request
    ADD CONSTRAINT request_pkey PRIMARY KEY (id, step);
ALTER TABLE ONLY backout.restored
    ADD CONSTRAINT restored_pkey PRIMARY KEY (run);
ALTER TABLE ONLY backout.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.settled
    ADD CONSTRAINT settled_pkey PRIMARY KEY (token);
ALTER TABLE ONLY backout.spent
    ADD CONSTRAINT spent_pkey PRIMARY KEY (request, step);
ALTER TABLE ONLY backout.spoken
    ADD CONSTRAINT spoken_pkey PRIMARY KEY (run, key, asked);
ALTER TABLE ONLY backout.token
    ADD CONSTRAINT token_digest_key UNIQUE (digest);
ALTER TABLE ONLY backout.token
    ADD CONSTRAINT token_pkey PRIMARY KEY (name);
ALTER TABLE ONLY backout.told
    ADD CONSTRAINT told_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY backout.undone
    ADD CONSTRAINT undone_pkey PRIMARY KEY (run);
ALTER TABLE ONLY backout.version
    ADD CONSTRAINT version_pkey PRIMARY KEY (number);
ALTER TABLE ONLY backout.waiter
    ADD CONSTRAINT waiter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.waiter
    ADD CONSTRAINT waiter_target_ticket_key UNIQUE (target, ticket);
ALTER TABLE ONLY backout.watch_asked
    ADD CONSTRAINT watch_asked_pkey PRIMARY KEY (target);
ALTER TABLE ONLY backout.watch_day
    ADD CONSTRAINT watch_day_pkey PRIMARY KEY (spot, at);
ALTER TABLE ONLY backout.watch_hour
    ADD CONSTRAINT watch_hour_pkey PRIMARY KEY (spot, at);
ALTER TABLE ONLY backout.watch_incident
    ADD CONSTRAINT watch_incident_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.watch_letter
    ADD CONSTRAINT watch_letter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.watch_look
    ADD CONSTRAINT watch_look_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY backout.watch_meta
    ADD CONSTRAINT watch_meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY backout.watch_post
    ADD CONSTRAINT watch_post_pkey PRIMARY KEY (target);
ALTER TABLE ONLY backout.watch_question
    ADD CONSTRAINT watch_question_pkey PRIMARY KEY (target, name, host, zone);
ALTER TABLE ONLY backout.watch_revert
    ADD CONSTRAINT watch_revert_pkey PRIMARY KEY (run);
ALTER TABLE ONLY backout.watch_silence
    ADD CONSTRAINT watch_silence_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.watch_snapshot
    ADD CONSTRAINT watch_snapshot_pkey PRIMARY KEY (spot);
ALTER TABLE ONLY backout.watch_spot
    ADD CONSTRAINT watch_spot_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.watch_spot
    ADD CONSTRAINT watch_spot_target_name_host_key UNIQUE (target, name, host);
ALTER TABLE ONLY backout.wish
    ADD CONSTRAINT wish_pkey PRIMARY KEY (id);
CREATE INDEX ledger_of_run ON backout.ledger USING btree (run);
CREATE UNIQUE INDEX letter_once ON backout.letter USING btree (destination, key);
CREATE INDEX letter_waits ON backout.letter USING btree (destination, id) WHERE (ended IS NULL);
CREATE UNIQUE INDEX one_open_run ON backout.run USING btree (target) WHERE (outcome IS NULL);
CREATE INDEX parcel_of ON backout.parcel USING btree (asker);
CREATE INDEX parcel_waits ON backout.parcel USING btree (carrier, asked) WHERE (answered IS NULL);
CREATE INDEX record_of_run ON backout.record USING btree (run, seq);
CREATE UNIQUE INDEX record_once ON backout.record USING btree (run, n) WHERE (n > 0);
CREATE INDEX request_of_target ON backout.request USING btree (target, asked);
CREATE INDEX restored_release ON backout.restored USING btree (target, number);
CREATE UNIQUE INDEX run_in_order ON backout.run USING btree (rowid);
CREATE INDEX run_of_target ON backout.run USING btree (target, rowid);
CREATE INDEX run_of_verb ON backout.run USING btree (verb, rowid);
CREATE INDEX run_with_update ON backout.run USING btree (id) WHERE (strpos(plan, '"kind": "update"'::text) > 0);
CREATE INDEX settled_at ON backout.settled USING btree (at);
CREATE INDEX told_of_run ON backout.told USING btree (run, seq);
CREATE UNIQUE INDEX watch_letter_once ON backout.watch_letter USING btree (destination, key);
CREATE INDEX watch_letter_waits ON backout.watch_letter USING btree (destination, id) WHERE (ended IS NULL);
CREATE INDEX watch_look_of_spot ON backout.watch_look USING btree (spot, at);
CREATE UNIQUE INDEX watch_one_open ON backout.watch_incident USING btree (spot) WHERE (resolved IS NULL);
CREATE INDEX watch_question_waits ON backout.watch_question USING btree (zone, asked) WHERE (taken < number);
CREATE INDEX wish_of_run ON backout.wish USING btree (run);
CREATE TRIGGER answer_grows BEFORE DELETE OR UPDATE ON backout.answer FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER ledger_grows BEFORE DELETE OR UPDATE ON backout.ledger FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER record_fenced BEFORE INSERT ON backout.record FOR EACH ROW EXECUTE FUNCTION backout.record_fenced();
CREATE TRIGGER record_grows BEFORE DELETE OR UPDATE ON backout.record FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER record_whole BEFORE TRUNCATE ON backout.record FOR EACH STATEMENT EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER request_grows BEFORE DELETE OR UPDATE ON backout.request FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER restored_grows BEFORE DELETE OR UPDATE ON backout.restored FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_stays BEFORE DELETE ON backout.run FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_whole BEFORE TRUNCATE ON backout.run FOR EACH STATEMENT EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_written BEFORE INSERT OR UPDATE ON backout.run FOR EACH ROW EXECUTE FUNCTION backout.run_written();
CREATE TRIGGER spent_grows BEFORE DELETE OR UPDATE ON backout.spent FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER spoken_grows BEFORE DELETE OR UPDATE ON backout.spoken FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER undone_grows BEFORE DELETE OR UPDATE ON backout.undone FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER wish_grows BEFORE DELETE OR UPDATE ON backout.wish FOR EACH ROW EXECUTE FUNCTION backout.append_only();
ALTER TABLE ONLY backout.answer
    ADD CONSTRAINT answer_request_step_fkey FOREIGN KEY (request, step) REFERENCES backout.request(id, step);
ALTER TABLE ONLY backout.ledger
    ADD CONSTRAINT ledger_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.record
    ADD CONSTRAINT record_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.restored
    ADD CONSTRAINT restored_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.restored
    ADD CONSTRAINT restored_target_number_fkey FOREIGN KEY (target, number) REFERENCES backout.ledger(target, number);
ALTER TABLE ONLY backout.spent
    ADD CONSTRAINT spent_request_step_fkey FOREIGN KEY (request, step) REFERENCES backout.request(id, step);
ALTER TABLE ONLY backout.undone
    ADD CONSTRAINT undone_by_fkey FOREIGN KEY (by) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.undone
    ADD CONSTRAINT undone_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.watch_day
    ADD CONSTRAINT watch_day_spot_fkey FOREIGN KEY (spot) REFERENCES backout.watch_spot(id);
ALTER TABLE ONLY backout.watch_hour
    ADD CONSTRAINT watch_hour_spot_fkey FOREIGN KEY (spot) REFERENCES backout.watch_spot(id);
ALTER TABLE ONLY backout.watch_incident
    ADD CONSTRAINT watch_incident_spot_fkey FOREIGN KEY (spot) REFERENCES backout.watch_spot(id);
ALTER TABLE ONLY backout.watch_look
    ADD CONSTRAINT watch_look_spot_fkey FOREIGN KEY (spot) REFERENCES backout.watch_spot(id);
ALTER TABLE ONLY backout.watch_snapshot
    ADD CONSTRAINT watch_snapshot_spot_fkey FOREIGN KEY (spot) REFERENCES backout.watch_spot(id);
