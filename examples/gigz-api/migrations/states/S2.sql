-- S2: MongoDB's columns, and Parse's generated from them without the class.
DROP TABLE IF EXISTS "UserConcert" CASCADE;
CREATE TABLE "UserConcert" (
  "objectId" text PRIMARY KEY,
  "createdAt" timestamptz,
  "updatedAt" timestamptz,
  notes text,
  _rperm text[],
  _wperm text[],
  _p_user varchar NOT NULL,
  _p_concert varchar NOT NULL,
  "user" varchar GENERATED ALWAYS AS (split_part(_p_user, '$', 2)) STORED,
  concert varchar GENERATED ALWAYS AS (split_part(_p_concert, '$', 2)) STORED
);
