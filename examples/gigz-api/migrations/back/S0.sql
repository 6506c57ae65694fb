-- From S5 back to S0. Where the table never left S0, nothing changes.

SET LOCAL lock_timeout = '10s';
DROP TRIGGER IF EXISTS userconcert_both_forms ON "UserConcert";
DROP FUNCTION IF EXISTS userconcert_both_forms();
ALTER TABLE "UserConcert" DROP COLUMN IF EXISTS _p_user, DROP COLUMN IF EXISTS _p_concert;
