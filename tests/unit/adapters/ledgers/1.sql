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
INSERT INTO backout.ledger (target, number, commit, run, at, known_good, covers) OVERRIDING SYSTEM VALUE VALUES ('prod', '1', 'aaa', 'r1', '2026-11-29T01:51:20.861258+00:00', '1', '[]');
INSERT INTO backout.ledger (target, number, commit, run, at, known_good, covers) OVERRIDING SYSTEM VALUE VALUES ('prod', '2', 'bbb', 'r2', '2026-11-29T01:51:21.321214+00:00', '1', '[]');
INSERT INTO backout.number (target, last) OVERRIDING SYSTEM VALUE VALUES ('prod', '2');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('1', 'r1', 'begin', 'step', '2026-11-29T01:51:20.778040+00:00', '{}', '1', '5b9f2cec3c9dc147c98bf17db80510b324a47482c686e9c83554c6979b78002a', 'e0e6049af9ab00f64445493adde5f38670feb8c4cd32a7fd05ed39586dfb6d5c', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('2', 'r1', 'decided', '', '2026-11-29T01:51:20.861258+00:00', '{"outcome": "succeeded", "ledger": {"release": {"number": 1, "commit": "aaa"}, "known_good": true, "covers": [], "restored": null, "undone": []}}', '2', 'e0e6049af9ab00f64445493adde5f38670feb8c4cd32a7fd05ed39586dfb6d5c', '74a2dc76e847a0ad8884f112cae49c3995a72a4fb2beb1f15099c147cd15b26c', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('3', 'r2', 'begin', 'step', '2026-11-29T01:51:21.204056+00:00', '{}', '1', 'af57d18ee52c860d1ebc3edc77d3b67f8737fa8ec19cc1cc1ce0662de4eebb0b', '96ce68d827882ec557a624627116060d44b12fb306ff140de5e81160be8280b2', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('4', 'r2', 'decided', '', '2026-11-29T01:51:21.321214+00:00', '{"outcome": "succeeded", "ledger": {"release": {"number": 2, "commit": "bbb"}, "known_good": true, "covers": [], "restored": null, "undone": []}}', '2', '96ce68d827882ec557a624627116060d44b12fb306ff140de5e81160be8280b2', '72360ea6d987f7e9a73c3a5b1fb5143ddeae305d0ffa6679340c06268b92dfdf', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('5', 'back', 'begin', 'undo', '2026-11-29T01:51:21.612795+00:00', '{}', '1', '04c1d36df06d893cee0ab0d480242f344d2b0cbae0b896536a6c614cd85b3487', 'a393a2dd31846ab94127f55ede2660e3dcd83208fc780a67e06863dda5bff1df', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('6', 'back', 'decided', '', '2026-11-29T01:51:21.646473+00:00', '{"outcome": "succeeded", "ledger": {"release": null, "known_good": false, "covers": [], "restored": 1, "undone": []}}', '2', 'a393a2dd31846ab94127f55ede2660e3dcd83208fc780a67e06863dda5bff1df', '2b76891ff82456d376541b95d661b92e7121f6014b0e67da4562a1191c7d6c36', '0');
INSERT INTO backout.record (seq, run, kind, key, at, body, n, prev, hash, epoch) OVERRIDING SYSTEM VALUE VALUES ('7', 'open', 'begin', 'web1/0', '2026-11-29T01:51:21.962036+00:00', '{"undo": {"text": "true"}}', '1', '84d767b17e21e3983b582238ca1dde7569dd516a3b94ec04cf19bedb40df4928', '73946a1058333b09d9bd92fcf82b278a84fd184b079c534cbaa29c11db15bca9', '0');
INSERT INTO backout.restored (run, target, number, rowid) OVERRIDING SYSTEM VALUE VALUES ('back', 'prod', '1', '1');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('r1', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', '0', '{"run": "r1"}', '1', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('r2', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', '0', '{"run": "r2"}', '2', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('back', 'prod', 'rollback', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', '2024-01-30T20:01:00+00:00', 'succeeded', '0', '{"run": "back"}', '3', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.run (id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report, rowid, epoch, driver, driven_by, zone, plan_digest) OVERRIDING SYSTEM VALUE VALUES ('open', 'prod', 'deploy', 'deploy', '{"steps": ["a"]}', 'ann@laptop', '2024-01-30T20:00:00+00:00', '{"yes": true}', NULL, NULL, NULL, NULL, '4', '0', 'ann', 'ann@laptop', '', 'bee4ab070c92d19cf4ef0fab579b595718033fbe48ce58eb5f74c06a4fd056ab');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('5f6103dc5f766bdba2a6ca2c904032c4', '2026-11-29 01:51:20.688723+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('ebb3214377fc745ad5ea1dd24d20c89a', '2026-11-29 01:51:20.795473+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('87ecd9d48d903eee9368f195193a3fa2', '2026-11-29 01:51:20.867593+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('eca6a15c4018b7433952a539ce6f6767', '2026-11-29 01:51:20.996627+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('7f951f5e4e47e6444639fde1f041a7c5', '2026-11-29 01:51:21.104719+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('f8bb19cb257f51e373c00141ef534c36', '2026-11-29 01:51:21.266028+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('9b57157fd7b84d3d34b9086c50c7b8af', '2026-11-29 01:51:21.321981+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('dcddb0de7e547ce514f769a6b7f3cf4e', '2026-11-29 01:51:21.492884+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('7449b7b38ee9e0be9d1d4852bac8c62f', '2026-11-29 01:51:21.536921+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('6d18638596eebc59e59cde25e8a528e9', '2026-11-29 01:51:21.684773+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('6ef5a69a6a7a884417b81f6cb8468a66', '2026-11-29 01:51:21.842847+00');
INSERT INTO backout.settled (token, at) OVERRIDING SYSTEM VALUE VALUES ('017a00602031aa02362ca15447ffa5b8', '2026-11-29 01:51:21.911087+00');
INSERT INTO backout.undone (run, by) OVERRIDING SYSTEM VALUE VALUES ('r2', 'back');
INSERT INTO backout.version (number, at, by) OVERRIDING SYSTEM VALUE VALUES ('1', '2026-11-29 01:51:20.35361+00', '0.1.0');
SELECT pg_catalog.setval('backout.record_seq_seq', 7, true);
SELECT pg_catalog.setval('backout.restored_rowid_seq', 1, true);
SELECT pg_catalog.setval('backout.run_rowid_seq', 4, true);
ALTER TABLE ONLY backout.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (target, number);
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
