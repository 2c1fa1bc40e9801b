-- The queue of events as the first stokerd with one left it: an event that waits, and a configuration.
CREATE TABLE events(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL, flow TEXT NOT NULL,
 function TEXT NOT NULL, qualifier TEXT NOT NULL, errors INTEGER NOT NULL, refusals INTEGER NOT NULL,
 hops INTEGER NOT NULL, next_ms INTEGER NOT NULL, accepted_ms INTEGER NOT NULL, target TEXT, context TEXT,
 cost INTEGER NOT NULL);
CREATE INDEX events_due ON events(flow, next_ms, seq);
CREATE TABLE payloads(seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE configs(function TEXT NOT NULL, qualifier TEXT NOT NULL, max_retries INTEGER NOT NULL,
 max_age_s INTEGER NOT NULL, on_success TEXT NOT NULL, on_failure TEXT NOT NULL, dead_letter TEXT NOT NULL,
 modified_ms INTEGER NOT NULL, PRIMARY KEY(function, qualifier)) WITHOUT ROWID;
INSERT INTO events VALUES(7, '00000000-0000-4000-8000-000000000007', 0, 'hello', 'hello', '', 0, 0, 0, 1, unixepoch() * 1000, NULL, NULL, 100);
INSERT INTO payloads VALUES(7, x'7B226E223A317D');
INSERT INTO configs VALUES('hello', '', 1, 3600, '', '', '', 1700000000000);
PRAGMA user_version = 1;
