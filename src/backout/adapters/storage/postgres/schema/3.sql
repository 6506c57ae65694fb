-- What was asked of other people, what they said, and which run it was used for.
CREATE TABLE backout.request (
    id text COLLATE "C" NOT NULL, step text COLLATE "C" NOT NULL, target text COLLATE "C" NOT NULL,
    digest text NOT NULL, needed integer NOT NULL, asker text NOT NULL, asked_by text NOT NULL,
    asked text COLLATE "C" NOT NULL, expires text COLLATE "C" NOT NULL, body text NOT NULL,
    PRIMARY KEY (id, step));
CREATE INDEX request_of_target ON backout.request (target, asked);

CREATE TABLE backout.answer (
    request text COLLATE "C" NOT NULL, step text COLLATE "C" NOT NULL,
    asked_by text NOT NULL, answered_by text NOT NULL CHECK (answered_by <> asked_by),
    who text NOT NULL, answer text NOT NULL CHECK (answer IN ('yes', 'no')),
    reason text NOT NULL, at text COLLATE "C" NOT NULL,
    -- The role that the server knows the answer to be from.
    role text NOT NULL DEFAULT session_user,
    PRIMARY KEY (request, step, answered_by),
    FOREIGN KEY (request, step) REFERENCES backout.request);

CREATE TABLE backout.spent (
    request text COLLATE "C" NOT NULL, step text COLLATE "C" NOT NULL,
    run text COLLATE "C" NOT NULL, at text NOT NULL,
    PRIMARY KEY (request, step), FOREIGN KEY (request, step) REFERENCES backout.request);

-- Who waits for a target, in the order in which they asked.
CREATE TABLE backout.waiter (
    id text COLLATE "C" PRIMARY KEY, target text COLLATE "C" NOT NULL, ticket integer NOT NULL,
    beat integer NOT NULL, person text NOT NULL, machine text NOT NULL, pid integer NOT NULL,
    waits_for text NOT NULL, since text NOT NULL, UNIQUE (target, ticket));

CREATE TRIGGER request_grows BEFORE UPDATE OR DELETE ON backout.request
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER answer_grows BEFORE UPDATE OR DELETE ON backout.answer
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
CREATE TRIGGER spent_grows BEFORE UPDATE OR DELETE ON backout.spent
    FOR EACH ROW EXECUTE FUNCTION backout.append_only();
