-- SPDX-License-Identifier: Apache-2.0
-- One statement per table, in the order of enum sb_table: key, a, b, state, time, body.
INSERT INTO job (id, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (id) DO UPDATE SET
    a = excluded.a, b = excluded.b, state = excluded.state, time = excluded.time,
    body = excluded.body;
INSERT INTO task (id, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (id) DO UPDATE SET
    a = excluded.a, b = excluded.b, state = excluded.state, time = excluded.time,
    body = excluded.body;
INSERT INTO device (name, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET
    a = excluded.a, b = excluded.b, state = excluded.state, time = excluded.time,
    body = excluded.body;
INSERT INTO package (name, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET
    a = excluded.a, b = excluded.b, state = excluded.state, time = excluded.time,
    body = excluded.body;
INSERT INTO parcel (id, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (id) DO UPDATE SET
    a = excluded.a, b = excluded.b, state = excluded.state, time = excluded.time,
    body = excluded.body;
INSERT INTO convo (name, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET
    a = excluded.a, b = excluded.b, state = excluded.state, time = excluded.time,
    body = excluded.body;
INSERT INTO meta (name, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET
    a = excluded.a, b = excluded.b, state = excluded.state, time = excluded.time,
    body = excluded.body;
INSERT INTO audit (id, a, b, state, time, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6);
