-- What the workers of a zone are asked to look at: one question for each check and zone, which the
-- next one replaces. Who takes it is the only one that answers, and an answer to an older question is
-- refused. `number` is the question's, `taken` and `answered` are the numbers of those that were.
CREATE TABLE backout.watch_question (
    target text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, host text COLLATE "C" NOT NULL,
    zone text COLLATE "C" NOT NULL, number bigint NOT NULL, asked timestamptz NOT NULL,
    digest text NOT NULL, about text NOT NULL, taken bigint NOT NULL DEFAULT 0,
    by text NOT NULL DEFAULT '', worker text NOT NULL DEFAULT '', answered bigint NOT NULL DEFAULT 0,
    answered_by text NOT NULL DEFAULT '', at timestamptz, findings text NOT NULL DEFAULT '[]',
    memory text NOT NULL DEFAULT '{}',
    PRIMARY KEY (target, name, host, zone));
CREATE INDEX watch_question_waits ON backout.watch_question (zone, asked) WHERE taken < number;

-- The inventory that the questions are about, as whoever asks has it.
CREATE TABLE backout.watch_asked (
    target text COLLATE "C" PRIMARY KEY, digest text NOT NULL, body text NOT NULL);
