CREATE TABLE backout.run (
    id text COLLATE "C" PRIMARY KEY, target text COLLATE "C" NOT NULL, verb text NOT NULL,
    runbook text NOT NULL, plan text NOT NULL, owner text NOT NULL,
    started text COLLATE "C" NOT NULL, options text NOT NULL,
    ended text COLLATE "C", outcome text, exit_code integer, report text,
    rowid bigint GENERATED ALWAYS AS IDENTITY,
    -- How often the run was taken over, by which working copy, and by whom.
    epoch integer NOT NULL DEFAULT 0, driver text NOT NULL DEFAULT '',
    driven_by text NOT NULL DEFAULT '', zone text NOT NULL DEFAULT '',
    plan_digest text NOT NULL DEFAULT '');
CREATE UNIQUE INDEX one_open_run ON backout.run (target) WHERE outcome IS NULL;
CREATE INDEX run_of_target ON backout.run (target, rowid);
CREATE UNIQUE INDEX run_in_order ON backout.run (rowid);
CREATE INDEX run_with_update ON backout.run (id) WHERE strpos(plan, '"kind": "update"') > 0;

CREATE TABLE backout.record (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run text COLLATE "C" NOT NULL REFERENCES backout.run, kind text NOT NULL, key text NOT NULL,
    at text COLLATE "C" NOT NULL, body text NOT NULL,
    n integer NOT NULL DEFAULT 0, prev text NOT NULL DEFAULT '', hash text NOT NULL DEFAULT '',
    epoch integer NOT NULL);
CREATE INDEX record_of_run ON backout.record (run, seq);
CREATE UNIQUE INDEX record_once ON backout.record (run, n) WHERE n > 0;

CREATE TABLE backout.number (target text COLLATE "C" PRIMARY KEY, last integer NOT NULL);

CREATE TABLE backout.ledger (
    target text COLLATE "C" NOT NULL, number integer NOT NULL, "commit" text NOT NULL,
    run text COLLATE "C" NOT NULL REFERENCES backout.run, at text NOT NULL,
    known_good integer NOT NULL, covers text NOT NULL, PRIMARY KEY (target, number));
CREATE INDEX ledger_of_run ON backout.ledger (run);

CREATE TABLE backout.restored (
    run text COLLATE "C" PRIMARY KEY REFERENCES backout.run, target text COLLATE "C" NOT NULL,
    number integer NOT NULL, rowid bigint GENERATED ALWAYS AS IDENTITY,
    FOREIGN KEY (target, number) REFERENCES backout.ledger);
CREATE INDEX restored_release ON backout.restored (target, number);

CREATE TABLE backout.undone (
    run text COLLATE "C" PRIMARY KEY REFERENCES backout.run,
    by text COLLATE "C" NOT NULL REFERENCES backout.run);

-- Transactions that were committed, by the token that each was given: who did not hear the answer
-- to a COMMIT asks here.
CREATE TABLE backout.settled (
    token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX settled_at ON backout.settled (at);

CREATE FUNCTION backout.forgetting() RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT coalesce(current_setting('backout.forgetting', true), '') = 'on' $$;

CREATE FUNCTION backout.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'TRUNCATE' AND backout.forgetting() THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'BK003';
END $$;

CREATE TRIGGER record_grows BEFORE UPDATE OR DELETE ON backout.record
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER ledger_grows BEFORE UPDATE OR DELETE ON backout.ledger
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER restored_grows BEFORE UPDATE OR DELETE ON backout.restored
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER undone_grows BEFORE UPDATE OR DELETE ON backout.undone
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_stays BEFORE DELETE ON backout.run
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER run_whole BEFORE TRUNCATE ON backout.run
    EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER record_whole BEFORE TRUNCATE ON backout.record
    EXECUTE FUNCTION backout.append_only();

CREATE FUNCTION backout.run_written() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER run_written BEFORE INSERT OR UPDATE ON backout.run
    FOR EACH ROW EXECUTE FUNCTION backout.run_written();

-- A record is of the epoch that its run has in the same transaction, or it is not written. One that
-- says none comes from a transaction that has locked the run, or made it.
CREATE FUNCTION backout.record_fenced() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER record_fenced BEFORE INSERT ON backout.record
    FOR EACH ROW EXECUTE FUNCTION backout.record_fenced();
