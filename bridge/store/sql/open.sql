-- SPDX-License-Identifier: Apache-2.0
-- Settings of the writing connection. A commit is one sync of the write-ahead log (FULL); the log is
-- folded into the file every 2 MiB, by sqlite.c, and kept at that in between. Pages are small, since
-- a commit writes each one it touches twice, mostly for one short row; an older store keeps its own.
PRAGMA busy_timeout = 5000; -- somebody looks into the file with another program
PRAGMA page_size = 1024;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA journal_size_limit = 2097152;
PRAGMA cache_size = -512; -- KiB; what falls out is in the system's cache, which others can use as well
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
