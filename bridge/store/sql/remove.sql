-- SPDX-License-Identifier: Apache-2.0
-- One statement per table, in the order of enum sb_table.
DELETE FROM job WHERE id = ?1;
DELETE FROM task WHERE id = ?1;
DELETE FROM device WHERE name = ?1;
DELETE FROM package WHERE name = ?1;
DELETE FROM parcel WHERE id = ?1;
DELETE FROM convo WHERE name = ?1;
DELETE FROM meta WHERE name = ?1;
DELETE FROM audit WHERE id = ?1;
