-- Whoever has said yes can say no.
ALTER TABLE backout.answer DROP CONSTRAINT answer_pkey,
    ADD PRIMARY KEY (request, step, answered_by, answer);
