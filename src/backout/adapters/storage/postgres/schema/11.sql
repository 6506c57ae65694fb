-- Without it, `plan` would look for a rehearsal of its runbook through the whole past.
CREATE INDEX run_of_verb ON backout.run (verb, rowid);
