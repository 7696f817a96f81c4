-- SPDX-License-Identifier: Apache-2.0
-- Settings of the reading connection. It serves the loop, which must not wait long.
PRAGMA busy_timeout = 1000;
PRAGMA query_only = ON;
PRAGMA cache_size = -256; -- KiB
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
