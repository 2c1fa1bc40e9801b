-- With secrets.
CREATE TABLE names(name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE functions(name TEXT PRIMARY KEY, latest INTEGER NOT NULL, active INTEGER NOT NULL,
 last_published INTEGER NOT NULL, reserved INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE versions(name TEXT NOT NULL, number INTEGER NOT NULL, published INTEGER NOT NULL,
 state TEXT NOT NULL, runtime TEXT NOT NULL, handler TEXT NOT NULL, memory_mib INTEGER NOT NULL,
 timeout_s INTEGER NOT NULL, reuse TEXT NOT NULL, env BLOB, extra TEXT, reason_code TEXT, reason TEXT,
 init_error TEXT, created_ms INTEGER NOT NULL, code_size INTEGER NOT NULL, zip_crc INTEGER NOT NULL,
 img_crc INTEGER NOT NULL, sha256 BLOB, revision TEXT NOT NULL, PRIMARY KEY(name, number)) WITHOUT ROWID;
CREATE TABLE aliases(name TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,
 additional INTEGER NOT NULL, weight REAL NOT NULL, revision TEXT NOT NULL, description TEXT,
 PRIMARY KEY(name, alias)) WITHOUT ROWID;
CREATE TABLE notes(name TEXT NOT NULL, kind TEXT NOT NULL, qualifier TEXT NOT NULL, json TEXT NOT NULL,
 PRIMARY KEY(name, kind, qualifier)) WITHOUT ROWID;
ALTER TABLE versions ADD COLUMN layers TEXT;
CREATE TABLE secrets(name TEXT NOT NULL, number INTEGER NOT NULL, pairs BLOB NOT NULL,
 PRIMARY KEY(name, number)) WITHOUT ROWID;
INSERT INTO names VALUES('hello', 3);
INSERT INTO names VALUES('gone', 9);
INSERT INTO names VALUES('broken', 2);
INSERT INTO names VALUES('half', 1);
INSERT INTO functions VALUES('hello', 3, 3, 1, 5);
INSERT INTO functions VALUES('broken', 2, 1, 0, -1);
INSERT INTO functions VALUES('half', 1, 0, 0, -1);
INSERT INTO versions VALUES('hello', 2, 1, 'active', 'python3', 'a.b', 256, 7, 'reset', x'4D4F44453D7800', '{"Description":"one"}', NULL,
 NULL, NULL, 1700000000123, 131, 8136214741719697015, -5,
 x'9dc20b79a1ea3c5d917b45c6463062de443e3e5ec4bf0e9c30e661a57473a184',
 '00000000-0000-4000-8000-000000000001', 'tools:7');
INSERT INTO versions VALUES('hello', 3, 0, 'active', 'python3', 'a.b', 256, 7, 'reset', x'4D4F44453D7800', '{"Description":"two","EphemeralStorage":{"Size":1024}}', NULL,
 NULL, NULL, 1700000000123, 131, 8136214741719697015, -5,
 x'9dc20b79a1ea3c5d917b45c6463062de443e3e5ec4bf0e9c30e661a57473a184',
 '00000000-0000-4000-8000-000000000002', 'tools:7');
INSERT INTO versions VALUES('broken', 1, 0, 'active', 'python3', 'a.b', 256, 7, 'reset', x'4D4F44453D7800', NULL, NULL,
 NULL, NULL, 1700000000123, 131, 8136214741719697015, -5,
 x'9dc20b79a1ea3c5d917b45c6463062de443e3e5ec4bf0e9c30e661a57473a184',
 '00000000-0000-4000-8000-000000000003', NULL);
INSERT INTO versions VALUES('broken', 2, 0, 'failed', 'python3', 'a.b', 256, 7, 'reset', x'4D4F44453D7800', NULL, 'FunctionError.RuntimeInitError',
 'it has no handler', '{"errorType":"Runtime.Oops","errorMessage":"m"}', 1700000000123, 131, 8136214741719697015, -5,
 x'9dc20b79a1ea3c5d917b45c6463062de443e3e5ec4bf0e9c30e661a57473a184',
 '00000000-0000-4000-8000-000000000004', NULL);
INSERT INTO versions VALUES('half', 1, 0, 'pending', 'python3', 'a.b', 256, 7, 'reset', x'4D4F44453D7800', NULL, NULL,
 NULL, NULL, 1700000000123, 131, 8136214741719697015, -5,
 x'9dc20b79a1ea3c5d917b45c6463062de443e3e5ec4bf0e9c30e661a57473a184',
 '00000000-0000-4000-8000-000000000005', NULL);
INSERT INTO aliases VALUES('hello', 'live', 1, 0, 0.0, '00000000-0000-4000-8000-000000000006', 'first');
INSERT INTO notes VALUES('hello', 'tags', '', '{"team":"x"}');
INSERT INTO notes VALUES('hello', 'url', 'live', '{"CreatedMs":1700000000000,"Iam":true,"ModifiedMs":1700000000000}');
INSERT INTO notes VALUES('hello', 'policy', '', '[{"Sid":"s","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:000000000000:function:hello"}]');
INSERT INTO notes VALUES('hello', 'provisioned', 'live', '{"Requested":1,"ModifiedMs":1700000000000}');
INSERT INTO secrets VALUES('hello', 3, x'544F4B454E3D7800');
PRAGMA user_version = 5;
