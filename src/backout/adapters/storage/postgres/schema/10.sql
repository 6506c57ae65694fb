-- What holds a run's end and its last record together.
ALTER TABLE backout.run ADD COLUMN sealed text NOT NULL DEFAULT '';
