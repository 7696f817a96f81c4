# SPDX-License-Identifier: Apache-2.0
"""A disk with faults under the daemon: tests/fakes/disk_faults.c, preloaded, and its rules."""
import pathlib

from harness import build_dir


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
