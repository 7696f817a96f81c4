# SPDX-License-Identifier: Apache-2.0
"""A disk with faults under the daemon: tests/fakes/disk_faults.c, preloaded, and its rules; and what
is on it."""
import contextlib
import json
import pathlib
import sqlite3

from harness import build_dir


STORE = "southbridge.db"  # and its log beside it


def kept(southbridge, device):
    """(the newest task, the device) as they are on the daemon's disk at this moment."""
    path = southbridge.directory / "state" / STORE
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = [db.execute(query, values).fetchone() for query, values in (
            ("SELECT body FROM task ORDER BY id DESC LIMIT 1", ()),
            ("SELECT body FROM device WHERE name = ?", (device,)))]
    return [json.loads(row[0]) if row else {} for row in rows]


def percent_kept(task):
    return max(task.get("percent", 0), task.get("furthest_percent", 0))


class Disk:
    """Faults that the daemon and its download helper meet; none at first."""

    def __init__(self, directory):
        self._rules = pathlib.Path(directory) / "disk-faults"
        self._library = build_dir() / "tests" / "fakes" / "libsb_disk_faults.so"
        if not self._library.exists():
            raise RuntimeError(f"{self._library} is not built")
        self.state = None
        self.heal()

    def prepare(self, southbridge):
        """Before its start."""
        self.state = southbridge.directory / "state"
        options = southbridge.environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        southbridge.prefix = ["env", f"LD_PRELOAD={self._library}",
                              f"SB_DISK_FAULTS={self._rules}", f"ASAN_OPTIONS={options}"]

    def fault(self, *rules):
        """rules: (call, number, path below state, {ms, start}); in force when this returns."""
        lines = []
        for call, number, path, *more in rules:
            extra = more[0] if more else {}
            lines.append(f"{call} {number} {extra.get('ms', 0)} {extra.get('start', 0)} "
                         f"{self.state / path if path else self.state}")
        self._put("".join(line + "\n" for line in lines))

    def heal(self):
        self._put("")

    def _put(self, text):
        fresh = self._rules.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self._rules)
