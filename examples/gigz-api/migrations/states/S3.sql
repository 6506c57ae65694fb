-- S3: MongoDB's columns must be filled, Parse's are there as well.
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
  "user" text,
  concert text
);
