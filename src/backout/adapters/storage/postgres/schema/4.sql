-- What runs tell while they are under way, their signs of life, and what others wish of them.
CREATE TABLE backout.told (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run text COLLATE "C" NOT NULL,
    body text NOT NULL);
CREATE INDEX told_of_run ON backout.told (run, seq);

CREATE TABLE backout.pulse (run text COLLATE "C" PRIMARY KEY, beat bigint NOT NULL);

CREATE TABLE backout.wish (
    id text COLLATE "C" PRIMARY KEY, run text COLLATE "C" NOT NULL, what text NOT NULL,
    who text NOT NULL, at text COLLATE "C" NOT NULL);
CREATE INDEX wish_of_run ON backout.wish (run);
CREATE TRIGGER wish_grows BEFORE UPDATE OR DELETE ON backout.wish
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
