# SPDX-License-Identifier: Apache-2.0
"""What the README shows is true: its configuration is one that the daemon takes, its commands
are commands, its links lead somewhere."""
import re
import shlex

import pytest
from harness import SOURCE, build_dir, run

README = (SOURCE / "README.md").read_text(encoding="utf-8")
PROGRAMS = build_dir() / "bridge" / "programs"
UNREACHABLE = 3


def blocks(language):
    """The fenced blocks of one language, in order; "": of none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


@pytest.fixture
def example(workspace):
    """The files of the README, at places that a test may write; the configuration's path."""
    config, devices, _ = blocks("yaml")
    (workspace / "devices.d").mkdir()
    (workspace / "devices.d" / "pumps.yaml").write_text(devices, encoding="utf-8")
    token = workspace / "factory.token"
    token.write_text("secret\n", encoding="ascii")
    token.chmod(0o600)
    for there, here in (("/usr/share/southbridge/mappings", SOURCE / "mappings"),
                        ("/etc/southbridge/mappings", workspace / "own"),
                        ("/etc/southbridge/devices.d", workspace / "devices.d"),
                        ("/etc/southbridge/factory.token", token),
                        ("/var/lib/southbridge", workspace / "state"),
                        ("/run/southbridge/control", workspace / "control")):
        assert there in config, there
        config = config.replace(there, str(here))
    path = workspace / "southbridge.yaml"
    path.write_text(config, encoding="utf-8")
    return path


def check(path):
    return run([PROGRAMS / "southbridge", "--config", path, "--check"])


def test_the_configuration_is_in_order(example):
    done = check(example)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout == "configuration, mappings and devices are in order\n"


@pytest.mark.parametrize("good, bad, finding", [
    ("uri_rules:", "uri_rule:", r"southbridge\.yaml:\d+:\d+: .*uri_rule.*did you mean 'uri_rules'"),
    ("baud: 115200", "baud: fast", r"southbridge\.yaml:\d+:\d+: 'baud': 'fast'"),
    ("dialect: ibm", "dialect: ibn", r"southbridge\.yaml:\d+:\d+: .*ibn"),
])
def test_a_slip_in_it_is_found(example, good, bad, finding):
    """So it is read, each line of it."""
    text = example.read_text(encoding="utf-8")
    assert good in text
    example.write_text(text.replace(good, bad, 1), encoding="utf-8")
    done = check(example)
    assert done.returncode == 2 and re.search(finding, done.stderr), done


def test_its_device_type_is_in_order(example, workspace):
    """As a file of one's own, with a device; and it is read to its last line."""
    own = workspace / "own" / "devices"
    own.mkdir(parents=True)
    text = blocks("yaml")[2]
    path = own / "acme-valve.yaml"
    path.write_text(text, encoding="utf-8")
    devices = workspace / "devices.d" / "valves.yaml"
    devices.write_text("devices:\n  - { id: valve-1, type: acme-valve, bus: uart2, "
                       "address: { unit: 7 } }\n", encoding="utf-8")
    example.write_text(re.sub(r"^buses:.*$", r"\g<0>\n  uart2: { port: /dev/ttyS9 }",
                              example.read_text(encoding="utf-8"), flags=re.MULTILINE),
                       encoding="utf-8")
    done = check(example)
    assert (done.returncode, done.stderr) == (0, ""), done
    path.write_text(text.replace("9: write_failed", "9: write_faild"), encoding="utf-8")
    done = run([PROGRAMS / "southbridgectl", "mapping", "check", path])
    assert done.returncode == 1 and "did you mean 'write_failed'" in done.stdout + done.stderr, done


def test_every_line_of_it_is_explained():
    for block in blocks("yaml"):
        for line in block.splitlines():
            assert re.search(r"\S +# \w+", line), line


def test_its_commands_are_commands(workspace):
    """None is a slip of the pen: each gets as far as the daemon, which is not there."""
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    found = re.findall(r"^southbridgectl (.*?)(?: +#.*)?$", text, re.MULTILINE)
    assert len(found) >= 8, found
    for words in found:
        done = run([PROGRAMS / "southbridgectl", "--socket", workspace / "none",
                    *shlex.split(words)], cwd=workspace)
        wanted = 1 if words.startswith("mapping check") else UNREACHABLE  # which asks no daemon
        assert done.returncode == wanted, (words, done)


def test_it_has_its_parts():
    """What it is and for whom, the two commands, a picture, a configuration, limits."""
    headings = re.findall(r"^## (.*)$", README, re.MULTILINE)
    assert headings[:4] == ["Two commands", "How it works", "A configuration, line by line",
                            "Adding a device type"]
    assert "Limits" in headings and "For whom:" in README.split("\n## ")[0]
    assert [block.strip() for block in blocks("sh")[:2]] == ["packaging/quickstart.sh",
                                                             "tests/run.sh"]
    picture = blocks("")[0]
    for word in ("IBM uplink", "southbridgectl", "intake", "job", "runner", "store", "outbox",
                 "SMP driver", "serial line"):
        assert word in picture, word


def test_its_places_are_there():
    """Files and folders that it names, in backquotes, as parts of the tree."""
    named = set(re.findall(r"`((?:bridge|adapters|mappings|tests|packaging)/[\w./-]*)`", README))
    assert len(named) >= 12
    for name in named:
        assert (SOURCE / name).exists(), name
