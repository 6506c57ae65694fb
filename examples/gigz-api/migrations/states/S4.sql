-- S4: Parse's columns, and MongoDB's generated from them.
DROP TABLE IF EXISTS "UserConcert" CASCADE;
CREATE TABLE "UserConcert" (
  "objectId" text PRIMARY KEY,
  "createdAt" timestamptz,
  "updatedAt" timestamptz,
  notes text,
  _rperm text[],
  _wperm text[],
  "user" text NOT NULL,
  concert text NOT NULL,
  _p_user text GENERATED ALWAYS AS ('_User$' || "user") STORED,
  _p_concert text GENERATED ALWAYS AS ('Concert$' || concert) STORED
);
