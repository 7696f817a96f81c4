# SPDX-License-Identifier: Apache-2.0
"""Mappings for tests that have no time: the words of a dialect with shorter waits, and a serial
device that is taken for healthy sooner."""
from harness import SOURCE


def fast_words(directory, dialect, **limits):
    """The folders of mappings, the second below the directory; limits: of the dialect's mapping."""
    folder = directory / "mappings"
    changed = {f"dialects/{dialect}.yaml": limits, "devices/zephyr-smp.yaml": {"health": "500ms"}}
    for name, values in changed.items():
        lines = (SOURCE / "mappings" / name).read_text(encoding="utf-8").split("\n")
        for n, line in enumerate(lines):
            key = line.strip().split(":")[0]
            if line.startswith("  ") and key in values:
                lines[n] = f"  {key}: {values.pop(key)}"
        assert not values, f"no such words in {name}: {values}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return [SOURCE / "mappings", folder]
