-- Workers that reach, for others, what only their zone reaches. What is sealed for one goes by its
-- `key`; its signs of life are counted, so that no two clocks are compared.
CREATE UNLOGGED TABLE backout.carrier (
    id text COLLATE "C" PRIMARY KEY, zone text COLLATE "C" NOT NULL, by text NOT NULL, key bytea NOT NULL,
    beat bigint NOT NULL, stopping boolean NOT NULL, seen timestamptz NOT NULL);

-- What they are asked, and what they answer, both sealed. Nothing of it lasts: whoever asked removes
-- it. One that is gone after a crash of the database is a link that was cut.
CREATE UNLOGGED TABLE backout.parcel (
    id text COLLATE "C" PRIMARY KEY, carrier text COLLATE "C" NOT NULL, asker text COLLATE "C" NOT NULL,
    host text NOT NULL, key bytea NOT NULL, body bytea NOT NULL,
    asked timestamptz NOT NULL DEFAULT clock_timestamp(), taken timestamptz,
    answered timestamptz, answer bytea);
CREATE INDEX parcel_waits ON backout.parcel (carrier, asked) WHERE answered IS NULL;
CREATE INDEX parcel_of ON backout.parcel (asker);
