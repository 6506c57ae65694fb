-- From S5 back to S6. Where the table never left S6, nothing changes.

SET LOCAL lock_timeout = '10s';
DROP TRIGGER IF EXISTS userconcert_both_forms ON "UserConcert";
DROP FUNCTION IF EXISTS userconcert_both_forms();
ALTER TABLE "UserConcert"
  DROP COLUMN IF EXISTS "user",
  DROP COLUMN IF EXISTS concert,
  ALTER COLUMN _p_user TYPE varchar,
  ALTER COLUMN _p_concert TYPE varchar,
  ALTER COLUMN _p_user SET NOT NULL,
  ALTER COLUMN _p_concert SET NOT NULL;
