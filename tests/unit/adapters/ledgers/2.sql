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
SET default_tablespace = '';
SET default_table_access_method = heap;
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
    plan_digest text DEFAULT ''::text NOT NULL
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
CREATE TABLE backout.undone (
    run text NOT NULL COLLATE pg_catalog."C",
    by text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE backout.version (
    number integer NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    by text NOT NULL
);
INSERT INTO backout.ledger (target, number, commit, run, at, known_good, covers) OVERRIDING SYSTEM VALUE VALUES ('prod', '1', 'aaa', 'r1', '2026-11-29T02:05:13.990777+00:00', '1', '[]');
INSERT INTO backout.ledger (target, number, commit, run, at, known_good, covers) OVERRIDING SYSTEM VALUE VALUES ('prod', '2', 'bbb', 'r2', '2026-11-29T02:05:14.008921+00:00', '1', '[]');
INSERT INTO backout.number (target, last) OVERRIDING SYSTEM VALUE VALUES ('prod', '2');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('1', 'r1', 'begin', 'step', '2026-11-29T02:05:13.980779+00:00', '{}', '1', '5b9f2cec3c9dc147c98bf17db80510b324a47482c686e9c83554c6979b78002a', '2cf04cacc4cbf8557a88519d2ea1652ac41438285aadd1a0ca620d11416ef433', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('2', 'r1', 'decided', '', '2026-11-29T02:05:13.990777+00:00', '{"outcome": "succeeded", "ledger": {"release": {"number": 1, "commit": "aaa"}, "known_good": true, "covers": [], "restored": null, "undone": []}}', '2', '2cf04cacc4cbf8557a88519d2ea1652ac41438285aadd1a0ca620d11416ef433', 'e9d44152d5bb493b7be802b3a2482366d67f0562bf1e2e13dd2dd51f3cc4f0cb', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('3', 'r2', 'begin', 'step', '2026-11-29T02:05:14.003764+00:00', '{}', '1', 'af57d18ee52c860d1ebc3edc77d3b67f8737fa8ec19cc1cc1ce0662de4eebb0b', '7c8e359b15fa1a4914cdc13f7e3d72610a1857868fb84d0e720084067f6921e3', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('4', 'r2', 'decided', '', '2026-11-29T02:05:14.008921+00:00', '{"outcome": "succeeded", "ledger": {"release": {"number": 2, "commit": "bbb"}, "known_good": true, "covers": [], "restored": null, "undone": []}}', '2', '7c8e359b15fa1a4914cdc13f7e3d72610a1857868fb84d0e720084067f6921e3', '30ec1123dd4ca0a1d7ca2f724806abebe0743fc9d61b1a82e9810bc199c9f94d', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('5', 'back', 'begin', 'undo', '2026-11-29T02:05:14.019560+00:00', '{}', '1', '04c1d36df06d893cee0ab0d480242f344d2b0cbae0b896536a6c614cd85b3487', '4962ced1243a6952d14610bd6e130ca772c9134e9b55896c74f852efb9052069', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('6', 'back', 'decided', '', '2026-11-29T02:05:14.022815+00:00', '{"outcome": "succeeded", "ledger": {"release": null, "known_good": false, "covers": [], "restored": 1, "undone": []}}', '2', '4962ced1243a6952d14610bd6e130ca772c9134e9b55896c74f852efb9052069', '167bc1c574106aae8c4fb82c95567c8bfba57ef21489fd84a8073dcb7370869f', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('7', 'open', 'begin', 'web1/0', '2026-11-29T02:05:14.039834+00:00', '{"undo": {"text": "true"}}', '1', '84d767b17e21e3983b582238ca1dde7569dd516a3b94ec04cf19bedb40df4928', '3c5e5aa45c34be48f35ebb90d3ca70440403f9f7bf8dc1e71389d9f571f74b4c', '0');
INSERT INTO backout.restored (run, target, number, rowid) OVERRIDING SYSTEM VALUE VALUES ('back', 'prod', '1', '1');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('r1', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', '0', '{"run": "r1"}', '1', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('r2', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', '0', '{"run": "r2"}', '2', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('back', 'prod', 'rollback', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', '0', '{"run": "back"}', '3', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('open', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', NULL, NULL, NULL, NULL, '4', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('c4a2aba6dc1a4ad52d779bfd4f29e8c8', '2026-11-29 02:05:13.968642+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('2ab84f02e81a72e75dc252e4217943d0', '2026-11-29 02:05:13.988141+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('62b463130423158612c19df0d1bfd72e', '2026-11-29 02:05:13.991535+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('beef1dfc5317d194ae9cc89485590a4e', '2026-11-29 02:05:13.99798+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('0ded22073875f03522843950a494c09f', '2026-11-29 02:05:14.000987+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('528b7a818437d3032e0d923ce1f3b639', '2026-11-29 02:05:14.007465+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('6222adc1ccbf7eb3376e977da9ab4fd2', '2026-11-29 02:05:14.009561+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('8efaf7b2bca79db094acc712d99aef34', '2026-11-29 02:05:14.014136+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('ddd9510a42211530a6f14c59a220964a', '2026-11-29 02:05:14.016894+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('965a659af4ada61425639d57e03e8f4a', '2026-11-29 02:05:14.023508+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('fe456fe753293ca9dcf7b571622f8921', '2026-11-29 02:05:14.03426+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('8c4fe964711ae4cfca3a81002e11b669', '2026-11-29 02:05:14.037162+00');
INSERT INTO backout.undone (run, by) OVERRIDING SYSTEM VALUE VALUES ('r2', 'back');
INSERT INTO backout.version (number, at, by) OVERRIDING SYSTEM VALUE VALUES ('1', '2026-11-29 02:05:13.905974+00', '0.1.0');
INSERT INTO backout.version (number, at, by) OVERRIDING SYSTEM VALUE VALUES ('2', '2026-11-29 02:05:13.905974+00', '0.1.0');
SELECT pg_catalog.setval('backout.letter_id_seq', 1, false);
SELECT pg_catalog.setval('backout.record_seq_seq', 7, true);
SELECT pg_catalog.setval('backout.restored_rowid_seq', 1, true);
SELECT pg_catalog.setval('backout.run_rowid_seq', 4, true);
ALTER TABLE ONLY backout.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (target, number);
ALTER TABLE ONLY backout.letter
    ADD CONSTRAINT letter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.number
    ADD CONSTRAINT number_pkey PRIMARY KEY (target);
ALTER TABLE ONLY backout.record
    ADD CONSTRAINT record_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY backout.restored
    ADD CONSTRAINT restored_pkey PRIMARY KEY (run);
ALTER TABLE ONLY backout.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY backout.settled
    ADD CONSTRAINT settled_pkey PRIMARY KEY (token);
ALTER TABLE ONLY backout.undone
    ADD CONSTRAINT undone_pkey PRIMARY KEY (run);
ALTER TABLE ONLY backout.version
    ADD CONSTRAINT version_pkey PRIMARY KEY (number);
CREATE INDEX ledger_of_run ON backout.ledger USING btree (run);
CREATE UNIQUE INDEX letter_once ON backout.letter USING btree (destination, key);
CREATE INDEX letter_waits ON backout.letter USING btree (destination, id) WHERE (ended IS NULL);
CREATE UNIQUE INDEX one_open_run ON backout.run USING btree (target) WHERE (outcome IS NULL);
CREATE INDEX record_of_run ON backout.record USING btree (run, seq);
CREATE UNIQUE INDEX record_once ON backout.record USING btree (run, n) WHERE (n > 0);
CREATE INDEX restored_release ON backout.restored USING btree (target, number);
CREATE UNIQUE INDEX run_in_order ON backout.run USING btree (rowid);
CREATE INDEX run_of_target ON backout.run USING btree (target, rowid);
CREATE INDEX run_with_update ON backout.run USING btree (id) WHERE (strpos(plan, '"kind": "update"'::text) > 0);
CREATE INDEX settled_at ON backout.settled USING btree (at);
CREATE TRIGGER ledger_grows BEFORE DELETE OR UPDATE ON backout.ledger FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER record_fenced BEFORE INSERT ON backout.record FOR EACH ROW EXECUTE FUNCTION backout.record_fenced();
CREATE TRIGGER record_grows BEFORE DELETE OR UPDATE ON backout.record FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER record_whole BEFORE TRUNCATE ON backout.record FOR EACH STATEMENT EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER restored_grows BEFORE DELETE OR UPDATE ON backout.restored FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_stays BEFORE DELETE ON backout.run FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_whole BEFORE TRUNCATE ON backout.run FOR EACH STATEMENT EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_written BEFORE INSERT OR UPDATE ON backout.run FOR EACH ROW EXECUTE FUNCTION backout.run_written();
CREATE TRIGGER undone_grows BEFORE DELETE OR UPDATE ON backout.undone FOR EACH ROW EXECUTE FUNCTION backout.append_only();
ALTER TABLE ONLY backout.ledger
    ADD CONSTRAINT ledger_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.record
    ADD CONSTRAINT record_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.restored
    ADD CONSTRAINT restored_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.restored
    ADD CONSTRAINT restored_target_number_fkey FOREIGN KEY (target, number) REFERENCES backout.ledger(target, number);
ALTER TABLE ONLY backout.undone
    ADD CONSTRAINT undone_by_fkey FOREIGN KEY (by) REFERENCES backout.run(id);
ALTER TABLE ONLY backout.undone
    ADD CONSTRAINT undone_run_fkey FOREIGN KEY (run) REFERENCES backout.run(id);
