-- From S5 back to S2. Where the table never left S2, nothing changes.

SET LOCAL lock_timeout = '10s';
DROP TRIGGER IF EXISTS userconcert_both_forms ON "UserConcert";
DROP FUNCTION IF EXISTS userconcert_both_forms();
ALTER TABLE "UserConcert" DROP COLUMN "user", DROP COLUMN concert;
ALTER TABLE "UserConcert"
  ALTER COLUMN _p_user TYPE varchar,
  ALTER COLUMN _p_concert TYPE varchar,
  ALTER COLUMN _p_user SET NOT NULL,
  ALTER COLUMN _p_concert SET NOT NULL,
  ADD COLUMN "user" varchar GENERATED ALWAYS AS (split_part(_p_user, '$', 2)) STORED,
  ADD COLUMN concert varchar GENERATED ALWAYS AS (split_part(_p_concert, '$', 2)) STORED;
