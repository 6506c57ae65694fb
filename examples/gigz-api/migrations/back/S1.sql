-- From S5 back to S1. Where the table never left S1, nothing changes.

SET LOCAL lock_timeout = '10s';
DROP TRIGGER IF EXISTS userconcert_both_forms ON "UserConcert";
DROP FUNCTION IF EXISTS userconcert_both_forms();
ALTER TABLE "UserConcert" DROP COLUMN "user", DROP COLUMN concert;
ALTER TABLE "UserConcert"
  ALTER COLUMN _p_user TYPE varchar,
  ALTER COLUMN _p_concert TYPE varchar,
  ALTER COLUMN _p_user SET NOT NULL,
  ALTER COLUMN _p_concert SET NOT NULL,
  ADD COLUMN "user" varchar GENERATED ALWAYS AS (_p_user) STORED,
  ADD COLUMN concert varchar GENERATED ALWAYS AS (_p_concert) STORED;
