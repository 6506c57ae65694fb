-- S1: MongoDB's columns, and Parse's generated from them as they are.
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
  "user" varchar GENERATED ALWAYS AS (_p_user) STORED,
  concert varchar GENERATED ALWAYS AS (_p_concert) STORED
);
