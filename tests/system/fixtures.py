# SPDX-License-Identifier: Apache-2.0
"""The fixtures and hooks of every test that runs real processes; conftest.py imports them all."""
import contextlib
import json
import os
import pathlib
import shutil
import tempfile

import pytest
from artifacts import ArtifactServer
from daemon import ORG, SmpDevice, Southbridge, device_spec, write_config
from harness import Authority, Broker, Process, leftovers

from ibm_platform import IbmPlatform

_ran = []


def pytest_addoption(parser):
    parser.addoption("--build", metavar="DIR", help="build folder under test (else SB_BUILD)")


def pytest_configure(config):
    if config.getoption("--build"):
        os.environ["SB_BUILD"] = str(pathlib.Path(config.getoption("--build")).resolve())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, f"report_{report.when}", report)
    if report.when == "call" and not report.skipped:
        _ran.append(item.nodeid)


def pytest_sessionfinish(session, exitstatus):
    """A run in which every test was skipped has shown nothing."""
    if exitstatus == 0 and not _ran and not session.config.option.collectonly:
        print("\nno test ran")
        session.exitstatus = 5


def _failed(request):
    return any(getattr(request.node, f"report_{when}", None) is not None
               and getattr(request.node, f"report_{when}").failed for when in ("setup", "call"))


def _print_logs(directory):
    for path in sorted(pathlib.Path(directory).rglob("*")):
        if path.is_file() and (path.suffix in (".out", ".err", ".log", ".yaml", ".conf")
                               or path.name.startswith("sanitizer.")):
            text = path.read_text(errors="replace")
            print(f"---- {path.name} ({len(text)} characters, the last 20000) ----")
            print(text[-20000:])


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    """Nothing that the tests started may outlive them."""
    yield
    found = leftovers()
    for process in list(Process.alive):
        with contextlib.suppress(OSError):
            process.kill9()
    assert not found, f"still running after the tests: {found}"


@pytest.fixture
def workspace(request):
    """A short-named directory (socket paths have a limit); its logs are shown on failure."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sb-"))
    yield directory
    if _failed(request):
        _print_logs(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def authority():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sb-ca-"))
    yield Authority(directory)
    shutil.rmtree(directory)


@pytest.fixture
def broker(workspace):
    broker = Broker(workspace / "broker").start()
    yield broker
    broker.stop()


@pytest.fixture
def tls_broker(workspace, authority):
    """Plain and TLS listeners, each for TCP and websockets; two users."""
    users = {"use-token-auth": "secret-token", "platform": "platform-secret"}
    broker = Broker(workspace / "broker", authority=authority, websockets=True, users=users)
    yield broker.start()
    broker.stop()


@pytest.fixture
def platform(broker):
    """The cloud: connected before any gateway, so that it hears the first manage."""
    with IbmPlatform(broker.port, ORG) as platform:
        yield platform


@pytest.fixture
def artifacts():
    server = ArtifactServer()
    yield server
    server.close()


@pytest.fixture
def smp_device(workspace):
    device = SmpDevice(workspace).start()
    yield device
    device.stop()


def _print_records(southbridge):
    """What the daemon itself says of the course, while it still can."""
    for words in (("status",), ("job", "list", "--all"), ("audit",)):
        with contextlib.suppress(Exception):
            print(f"---- southbridgectl {' '.join(words)} ----")
            told = southbridge.ctl(*words, check=False, timeout=5).json
            for record in told if isinstance(told, list) else [told]:
                print(json.dumps(record))


@pytest.fixture
def make_southbridge(request, workspace, broker):
    """make(ports={"uart1": path}, devices=[...], **as write_config): not started yet."""
    made = []

    def make(ports, devices=None, **settings):
        directory = workspace / f"southbridge{len(made) or ''}"
        directory.mkdir()
        settings.setdefault("uri", broker.uri)
        settings.setdefault("token", "secret-token")
        config = write_config(directory, ports=ports,
                              devices=[device_spec()] if devices is None else devices, **settings)
        made.append(Southbridge(directory, config))
        return made[-1]

    yield make
    errors = []
    for southbridge in made:
        if _failed(request):
            _print_records(southbridge)
        try:
            southbridge.stop()
        except (RuntimeError, TimeoutError) as error:
            errors.append(str(error))
        errors += southbridge.sanitizer_reports()
    assert not errors, "\n".join(errors)


@pytest.fixture
def southbridge(make_southbridge, smp_device, platform):  # noqa: ARG001 (the cloud hears first)
    """The daemon with one serial device, started and ready."""
    return make_southbridge({"uart1": smp_device.link}).start()
