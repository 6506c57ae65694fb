-- What was said to runs that are held: each question is answered once.
CREATE TABLE backout.spoken (
    run text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, asked integer NOT NULL,
    answer text NOT NULL CHECK (answer IN ('again', 'done', 'back-out')), who text NOT NULL,
    at text COLLATE "C" NOT NULL, role text NOT NULL DEFAULT session_user,
    PRIMARY KEY (run, key, asked));

CREATE TRIGGER spoken_grows BEFORE UPDATE OR DELETE ON backout.spoken
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
