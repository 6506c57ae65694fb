-- Messages of runs, until each is delivered.
CREATE TABLE backout.letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, target text COLLATE "C" NOT NULL,
    destination text COLLATE "C" NOT NULL, kind text NOT NULL, key text COLLATE "C" NOT NULL,
    title text NOT NULL, body text NOT NULL, created double precision NOT NULL,
    incident integer NOT NULL, attempts integer NOT NULL DEFAULT 0,
    retry_at double precision NOT NULL DEFAULT 0, failure text NOT NULL DEFAULT '',
    ended double precision, outcome text NOT NULL DEFAULT '', digest bigint);
CREATE UNIQUE INDEX letter_once ON backout.letter (destination, key);
CREATE INDEX letter_waits ON backout.letter (destination, id) WHERE ended IS NULL;
