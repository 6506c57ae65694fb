-- From S5 back to S4. Where the table never left S4, nothing changes.

SET LOCAL lock_timeout = '10s';
DROP TRIGGER IF EXISTS userconcert_both_forms ON "UserConcert";
DROP FUNCTION IF EXISTS userconcert_both_forms();
ALTER TABLE "UserConcert" DROP COLUMN _p_user, DROP COLUMN _p_concert;
ALTER TABLE "UserConcert"
  ALTER COLUMN "user" SET NOT NULL,
  ALTER COLUMN concert SET NOT NULL,
  ADD COLUMN _p_user text GENERATED ALWAYS AS ('_User$' || "user") STORED,
  ADD COLUMN _p_concert text GENERATED ALWAYS AS ('Concert$' || concert) STORED;
