-- S5: both forms of both pointers; a trigger derives the one that was not written.
DROP TABLE IF EXISTS "UserConcert" CASCADE;
CREATE TABLE "UserConcert" (
  "objectId" text PRIMARY KEY,
  "createdAt" timestamptz,
  "updatedAt" timestamptz,
  notes text,
  _rperm text[],
  _wperm text[],
  "user" text,
  concert text,
  _p_user text,
  _p_concert text
);
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
