-- From any of the states to S5, which serves the old code and the new: no instant at which either
-- fails. The data stays. To run it again does no harm.

SET LOCAL lock_timeout = '10s'; -- whoever waits for this lock makes everybody else wait behind it
LOCK TABLE "UserConcert" IN ACCESS EXCLUSIVE MODE;

DO $$
DECLARE name text;
BEGIN
  FOR name IN
    SELECT attname FROM pg_attribute
    WHERE attrelid = '"UserConcert"'::regclass AND attgenerated = 's' AND NOT attisdropped
  LOOP
    EXECUTE format('ALTER TABLE "UserConcert" ALTER COLUMN %I DROP EXPRESSION', name);
  END LOOP;
END $$;

ALTER TABLE "UserConcert"
  ADD COLUMN IF NOT EXISTS "user" text,
  ADD COLUMN IF NOT EXISTS concert text,
  ADD COLUMN IF NOT EXISTS _p_user text,
  ADD COLUMN IF NOT EXISTS _p_concert text;
ALTER TABLE "UserConcert"
  ALTER COLUMN "user" DROP NOT NULL,
  ALTER COLUMN concert DROP NOT NULL,
  ALTER COLUMN _p_user DROP NOT NULL,
  ALTER COLUMN _p_concert DROP NOT NULL;

CREATE OR REPLACE FUNCTION userconcert_both_forms() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF TG_OP = 'UPDATE' THEN -- the form that was written wins
    IF NEW._p_user IS DISTINCT FROM OLD._p_user
      AND NEW."user" IS NOT DISTINCT FROM OLD."user" THEN NEW."user" := NULL; END IF;
    IF NEW._p_concert IS DISTINCT FROM OLD._p_concert
      AND NEW.concert IS NOT DISTINCT FROM OLD.concert THEN NEW.concert := NULL; END IF;
  END IF;
  NEW."user" := regexp_replace(coalesce(NEW."user", NEW._p_user), '^_User\$', '');
  NEW.concert := regexp_replace(coalesce(NEW.concert, NEW._p_concert), '^Concert\$', '');
  NEW._p_user := '_User$' || NEW."user";
  NEW._p_concert := 'Concert$' || NEW.concert;
  RETURN NEW;
END $body$;
DROP TRIGGER IF EXISTS userconcert_both_forms ON "UserConcert";
CREATE TRIGGER userconcert_both_forms BEFORE INSERT OR UPDATE ON "UserConcert"
  FOR EACH ROW EXECUTE FUNCTION userconcert_both_forms();

UPDATE "UserConcert" SET notes = notes; -- the trigger derives what is missing
