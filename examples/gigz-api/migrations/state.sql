-- In which of the states is the table? One row: S0, S1, … S6. In none of them is an error.
-- Only reads.
DO $$
DECLARE found text;
BEGIN
  WITH half (class, plain, prefixed) AS (
    VALUES ('_User', 'user', '_p_user'), ('Concert', 'concert', '_p_concert')
  ), shown AS (
    SELECT class, a.attname IS NOT NULL AS plain, b.attname IS NOT NULL AS prefixed,
      coalesce(a.attgenerated = 's', false) AS plain_made,
      coalesce(b.attgenerated = 's', false) AS prefixed_made,
      coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE '%split_part%', false) AS bare,
      EXISTS (
        SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = '"UserConcert"'::regclass AND p.proname = 'userconcert_both_forms'
      ) AS derived
    FROM half
    LEFT JOIN pg_attribute a ON a.attrelid = '"UserConcert"'::regclass AND a.attname = half.plain
    LEFT JOIN pg_attribute b ON b.attrelid = '"UserConcert"'::regclass AND b.attname = half.prefixed
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  ), named AS (
    SELECT CASE
      WHEN plain AND prefixed AND derived THEN 'S5'
      WHEN derived THEN NULL
      WHEN plain AND NOT prefixed AND NOT plain_made THEN 'S0'
      WHEN prefixed AND NOT plain AND NOT prefixed_made THEN 'S6'
      WHEN plain AND prefixed AND plain_made AND NOT prefixed_made AND bare THEN 'S2'
      WHEN plain AND prefixed AND plain_made AND NOT prefixed_made THEN 'S1'
      WHEN plain AND prefixed AND prefixed_made AND NOT plain_made THEN 'S4'
      WHEN plain AND prefixed AND NOT plain_made AND NOT prefixed_made THEN 'S3'
    END AS state FROM shown
  )
  SELECT min(state) INTO found FROM named HAVING count(state) = 2 AND min(state) = max(state);
  IF found IS NULL THEN
    RAISE EXCEPTION 'UserConcert is in none of the states S0 to S6 that these migrations know';
  END IF;
  PERFORM set_config('userconcert.state', found, true);
END $$;
SELECT current_setting('userconcert.state');
