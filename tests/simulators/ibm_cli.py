# SPDX-License-Identifier: Apache-2.0
"""The scripted IBM platform as a program: several commands in one run, one after the other."""
import argparse
import contextlib
import json
import signal
import sys
import threading

from ibm_platform import IbmPlatform
from ibm_watch import Watch

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NO_BROKER, EXIT_BREACH = range(5)

# command: (options with a value, positionals, help). A positional ending in * takes the rest.
COMMANDS = {
    "device": ((), ("TYPE/ID",), "the commands that follow are for this device"),
    "download": (("uri", "version", "name", "verifier"), (), "firmware/download"),
    "update": ((), (), "firmware/update of what was downloaded"),
    "reboot": ((), (), "device/reboot; done when the device manages again"),
    "factory-reset": ((), (), "device/factory_reset; likewise"),
    "custom": ((), ("BUNDLE/ACTION", "NAME=VALUE*"), "a custom action"),
    "observe": ((), (), "mgmt.firmware as the device tells it"),
    "set-location": ((), ("LATITUDE", "LONGITUDE"), "device/update of the location"),
    "wait-version": ((), ("VERSION",), "until the device manages with this fwVersion"),
    "listen": (("seconds",), (), "answers and shows messages; without --seconds until SIGTERM"),
}


class Stop:
    """A signal ends `listen` well and anything else as a failure."""

    def __init__(self):
        self._stopped = threading.Event()
        self._listening = False

    def interrupt(self, *_):
        if not self._listening:
            sys.exit(EXIT_FAILED)
        self._stopped.set()

    def listen(self, seconds):
        self._listening = True
        self._stopped.wait(seconds)
        self._listening = False


class Usage(Exception):
    """What is wrong with the command line."""


def _help_text():
    lines = ["commands, in the order of their execution:"]
    for name, (options, positionals, text) in COMMANDS.items():
        words = [name] + [f"--{o} {o.upper()[0]}" for o in options] + list(positionals)
        lines.append(f"  {' '.join(words):50} {text}")
    lines.append("exit code: 0 all succeeded, 1 one failed, 2 usage, 3 no broker, "
                 "4 protocol breach (--strict)")
    return "\n".join(lines)


def parser():
    out = argparse.ArgumentParser(prog="ibm_platform.py", epilog=_help_text(),
                                  formatter_class=argparse.RawDescriptionHelpFormatter,
                                  description="Plays an IBM Watson IoT Platform on a broker.")
    out.add_argument("--host", default="127.0.0.1")
    out.add_argument("--port", type=int, required=True, help="of the broker")
    out.add_argument("--org", default="abc123")
    out.add_argument("--device", metavar="TYPE/ID", required=True, help="that the commands are for")
    out.add_argument("--form", choices=("gateway", "device"), default="gateway",
                     help="topics with type and id (a gateway's) or without (one device's)")
    out.add_argument("--username")
    out.add_argument("--password-file", metavar="FILE")
    out.add_argument("--cafile", metavar="FILE", help="TLS, with this authority")
    out.add_argument("--watch", action="store_true", help="show each message on stderr")
    out.add_argument("--json", action="store_true", help="print each outcome as a line of JSON")
    out.add_argument("--strict", action="store_true", help="a breach of the protocol is a failure")
    out.add_argument("--assume-managed", action="store_true",
                     help="do not wait for a manage request first")
    out.add_argument("--wait", type=float, default=30, metavar="S", help="for the first manage")
    out.add_argument("--connect-timeout", type=float, default=10, metavar="S",
                     help="for the broker to appear")
    out.add_argument("--timeout", type=float, default=15, metavar="S", help="of one step")
    out.add_argument("--run-timeout", type=float, default=300, metavar="S",
                     help="of a download, an update, a restart")
    out.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return out


def split_commands(words):
    """[(name, {option: value}, [positional])] of the words after the options."""
    out, words = [], list(words)
    while words:
        word = words.pop(0)
        if out and word.startswith("--"):
            option, _, value = word[2:].partition("=")
            if option not in COMMANDS[out[-1][0]][0]:
                raise Usage(f"{out[-1][0]} has no option --{option}")
            if "=" not in word and not words:
                raise Usage(f"--{option} needs a value")
            out[-1][1][option] = value if "=" in word else words.pop(0)
        elif out and _takes(out[-1], word):
            out[-1][2].append(word)
        elif word in COMMANDS:
            out.append((word, {}, []))
        else:
            raise Usage(f"no such command: {word}")
    for name, _, given in out:
        needed = [p for p in COMMANDS[name][1] if not p.endswith("*")]
        if len(given) < len(needed):
            raise Usage(f"{name} needs {' '.join(needed)}")
    if not out:
        raise Usage("no command")
    return out


def _takes(command, word):
    positionals = COMMANDS[command[0]][1]
    if len(command[2]) < len(positionals) and not positionals[len(command[2])].endswith("*"):
        return True
    return bool(positionals) and positionals[-1].endswith("*") and "=" in word


def _run_command(platform, device, command, stop):
    name, options, words = command
    if name == "download":
        return platform.download(device, options.get("uri"), options.get("version"),
                                 options.get("name"), options.get("verifier"))
    if name == "custom":
        bundle, _, action = words[0].partition("/")
        return platform.custom(device, bundle, action, dict(w.split("=", 1) for w in words[1:]))
    if name == "set-location":
        return platform.set_location(device, float(words[0]), float(words[1]))
    if name == "wait-version":
        return platform.await_version(device, words[0])
    if name == "listen":
        stop.listen(float(options["seconds"]) if "seconds" in options else None)
        return None
    return getattr(platform, name.replace("-", "_"))(device)


def _check(command):
    """Values that would otherwise fail in the middle of a run."""
    name, options, words = command
    try:
        if name == "set-location":
            float(words[0]), float(words[1])
        if name == "listen" and "seconds" in options:
            float(options["seconds"])
    except ValueError as error:
        raise Usage(f"{name}: {error}") from None
    if name == "custom" and not all(words[0].partition("/")):
        raise Usage(f"custom needs BUNDLE/ACTION, not {words[0]}")


def _open(options):
    password = None
    if options.password_file:
        with open(options.password_file, encoding="utf-8") as file:
            password = file.readline().rstrip("\n")
    return IbmPlatform(options.port, options.org, host=options.host, form=options.form,
                       device=options.device if options.form == "device" else None,
                       username=options.username, password=password, cafile=options.cafile,
                       clean_session=True, step_timeout=options.timeout,
                       run_timeout=options.run_timeout,
                       watcher=Watch(sys.stderr) if options.watch else None)


def main(arguments):
    options = parser().parse_args(arguments)
    try:
        commands = split_commands(options.command)
        for command in commands:
            _check(command)
    except Usage as error:
        print(f"ibm_platform.py: {error}; see --help", file=sys.stderr)
        return EXIT_USAGE
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.interrupt)
    try:
        platform = _open(options).open(options.connect_timeout)
    except (TimeoutError, OSError) as error:
        print(f"ibm_platform.py: no broker at {options.host}:{options.port}: {error}",
              file=sys.stderr)
        return EXIT_NO_BROKER
    with contextlib.closing(platform):
        return _play(platform, options, commands, stop)


def _await_device(platform, options, name):
    """Its first manage request, or the assumption that there was one. False: too late."""
    if options.assume_managed:
        device = platform.device(name)
        device.managed = True
        device.supports = _Anything()
        return True
    try:
        platform.wait_managed(name, options.wait)
    except TimeoutError as error:
        print(f"ibm_platform.py: {error}", file=sys.stderr)
        return False
    return True


def _play(platform, options, commands, stop):
    device, awaited = options.device, None
    for command in commands:
        if command[0] == "device":
            device = command[2][0]
            continue
        if command[0] != "listen" and awaited != device:
            if not _await_device(platform, options, device):
                return EXIT_FAILED
            awaited = device
        outcome = _run_command(platform, device, command, stop)
        if outcome is None:
            continue
        print(json.dumps(outcome.as_json()) if options.json else outcome, flush=True)
        if not outcome.ok:
            return EXIT_FAILED
    breaches = platform.breaches()
    for breach in breaches:
        print(f"ibm_platform.py: {breach}", file=sys.stderr)
    return EXIT_BREACH if breaches and options.strict else EXIT_OK


class _Anything(dict):
    """supports of a device whose manage was not seen."""

    def get(self, _key, _default=None):
        return True
