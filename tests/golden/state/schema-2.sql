-- With reuse.
CREATE TABLE names(name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE functions(name TEXT PRIMARY KEY, version INTEGER NOT NULL, runtime TEXT NOT NULL,
 handler TEXT NOT NULL, memory_mib INTEGER NOT NULL, timeout_s INTEGER NOT NULL, env BLOB,
 created_ms INTEGER NOT NULL, code_size INTEGER NOT NULL, zip_crc INTEGER NOT NULL,
 img_crc INTEGER NOT NULL, reuse TEXT NOT NULL DEFAULT 'destroy') WITHOUT ROWID;
INSERT INTO names VALUES('hello', 3);
INSERT INTO names VALUES('gone', 9);
INSERT INTO functions VALUES('hello', 3, 'python3', 'a.b', 256, 7, x'4D4F44453D7800', 1700000000123, 131, 8136214741719697015, -5, 'reset');
PRAGMA user_version = 2;
