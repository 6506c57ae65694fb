-- Who may use the web view.
CREATE TABLE backout.token (
    name text COLLATE "C" PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('look', 'acknowledge', 'approve', 'deploy')),
    digest text NOT NULL UNIQUE, at text NOT NULL, made_by text NOT NULL);
