-- S6: MongoDB's columns only.
DROP TABLE IF EXISTS "UserConcert" CASCADE;
CREATE TABLE "UserConcert" (
  "objectId" text PRIMARY KEY,
  "createdAt" timestamptz,
  "updatedAt" timestamptz,
  notes text,
  _rperm text[],
  _wperm text[],
  _p_user varchar NOT NULL,
  _p_concert varchar NOT NULL
);
