-- SPDX-License-Identifier: Apache-2.0
-- The first schema. Every table has the same columns, so that the store need not know what a record
-- means: a key (a number or a name), two texts and a number by which it is found, a time (ms since
-- 1970) and the record itself, a JSON object. What a, b, state and time hold stands beside each.
PRAGMA application_id = 0x53427267; -- "SBrg"

CREATE TABLE job ( -- a: origin, b: what makes two requests the same, time: created
    id INTEGER PRIMARY KEY, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;
CREATE INDEX job_found ON job (a, b);
CREATE INDEX job_state ON job (state);

CREATE TABLE task ( -- a: device, b: job id, time: ended
    id INTEGER PRIMARY KEY, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;
CREATE INDEX task_device ON task (a);
CREATE INDEX task_job ON task (b);
CREATE INDEX task_state ON task (state);

CREATE TABLE device ( -- name: device id
    name TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;

CREATE TABLE package ( -- name: package id, a: sha256 of the first file
    name TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;
CREATE INDEX package_file ON package (a);
CREATE INDEX package_time ON package (time);

CREATE TABLE parcel ( -- a: link, b: supersede key, state: class, time: created
    id INTEGER PRIMARY KEY, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;

CREATE TABLE convo ( -- name: link/device, a: link, b: device
    name TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;

CREATE TABLE meta ( -- counters, flags, the probe
    name TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;

CREATE TABLE audit ( -- a: subject, b: actor
    id INTEGER PRIMARY KEY, a TEXT, b TEXT, state INTEGER NOT NULL, time INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;
CREATE INDEX audit_subject ON audit (a);
CREATE INDEX audit_actor ON audit (b);

-- Append-only. Retention may take the oldest record, again and again, but never the last one: the
-- next record continues its number and its hash.
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'an audit record is never changed');
END;
CREATE TRIGGER audit_kept BEFORE DELETE ON audit
WHEN old.id <> (SELECT min(id) FROM audit) OR old.id = (SELECT max(id) FROM audit)
BEGIN
    SELECT RAISE(ABORT, 'audit records are removed oldest first, and never the last');
END;
