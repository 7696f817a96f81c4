-- SPDX-License-Identifier: Apache-2.0
-- One statement per table, in the order of enum sb_table, with the parameters of put.sql: a row that
-- is found as before. It touches no index, where put.sql rewrites the entries even if they stay.
UPDATE job SET time = ?5, body = ?6
WHERE id = ?1 AND a IS ?2 AND b IS ?3 AND state = ?4;
UPDATE task SET time = ?5, body = ?6
WHERE id = ?1 AND a IS ?2 AND b IS ?3 AND state = ?4;
UPDATE device SET time = ?5, body = ?6
WHERE name = ?1 AND a IS ?2 AND b IS ?3 AND state = ?4;
UPDATE package SET time = ?5, body = ?6
WHERE name = ?1 AND a IS ?2 AND b IS ?3 AND state = ?4;
UPDATE parcel SET time = ?5, body = ?6
WHERE id = ?1 AND a IS ?2 AND b IS ?3 AND state = ?4;
UPDATE convo SET time = ?5, body = ?6
WHERE name = ?1 AND a IS ?2 AND b IS ?3 AND state = ?4;
UPDATE meta SET time = ?5, body = ?6
WHERE name = ?1 AND a IS ?2 AND b IS ?3 AND state = ?4;
