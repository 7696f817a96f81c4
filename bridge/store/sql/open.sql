-- SPDX-License-Identifier: Apache-2.0
-- Settings of the writing connection. A commit is one sync of the write-ahead log (FULL); the log is
-- folded into the file every 256 pages and kept below 2 MiB in between.
PRAGMA busy_timeout = 5000; -- somebody looks into the file with another program
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 256;
PRAGMA journal_size_limit = 2097152;
PRAGMA cache_size = -512; -- KiB; what falls out is in the system's cache, which others can use as well
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
