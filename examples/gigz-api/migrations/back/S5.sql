-- The table was in S5 before: there is nothing to go back to.
SELECT 'S5';
