#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices with a serial console on a pty, for tests: a board and a modem.

Written from what such devices are known to do; shares nothing with the code under test.

  console_device.py run --state DIR --link PATH [options]          the device
  console_device.py make-image --version 1.2.3 --size N OUT        an image for the board

`board`: a bootloader with a countdown ("loader> "), an application behind a login ("app> "); an
image is taken by XMODEM or YMODEM through lrzsz's `rx` and `rb`, runs after a restart and may not
survive it. `modem`: AT commands with unsolicited lines.

The flash is DIR/state.json, so `kill -9` is a power cut. What happens is told as JSON lines on
stdout; stdin takes `set NAME VALUE` (JSON; see FAULTS), `unplug`, `plug`, `reset`, `say TEXT`,
`quit`, each answered by the event "done".
"""
import argparse
import json
import os
import random
import select
import shutil
import subprocess
import termios
import time
import tty
import zlib

from pty_line import Commands

FAULTS = {
    "silent": False,       # hears and says nothing
    "garbage": False,      # says noise instead of answers
    "binary": False,       # noise all the time
    "endless": False,      # text all the time, never a prompt
    "half": False,         # answers break off in the middle of a line, without a prompt
    "mute_after": 0,       # falls silent after so many bytes of an image
    "die_after": 0,        # restarts after so many bytes of an image
    "break_off": 0,        # ends the transfer after so many bytes of an image
    "drop": 0, "duplicate": 0, "corrupt": 0,          # this byte of a transfer
    "lost_answer": 0,      # this byte of the receiver's answers is dropped
    "noise": 0.0,          # share of bytes of the console that are changed on their way in
    "chatty": False,       # unsolicited lines before and after answers
    "mutter": "",          # a line before each answer
    "rollback": False,     # a new image does not survive its first start
    "wrong_version": "",   # what a new image says it is
    "full": False,         # no room for an image
    "stuck": False,        # says that it restarts, and does not
    "dead": False,         # never comes back from the next restart
    "slow": 0.0,           # seconds before each answer
    "bad_flash": False,    # an image is not what was sent when it is read back
    "cme": 0,              # the modem answers with this error
}


def say(event, **more):
    os.write(1, (json.dumps({"event": event, **more, "at": time.time()}) + "\n").encode())


class Device:
    def __init__(self, args):
        self.args = args
        self.faults = dict(FAULTS)
        self.random = random.Random(args.seed)
        self.link, self.master, self.slave = args.link, -1, -1
        self.file = os.path.join(args.state, "state.json")
        os.makedirs(args.state, exist_ok=True)
        self.flash = {"version": args.version, "next": None, "settings": {}, "crc": None,
                      "blinks": 0, "boots": 0}
        if os.path.exists(self.file):
            with open(self.file, encoding="ascii") as f:
                self.flash = json.load(f)
        self.settings = dict(self.flash["settings"])
        self.state, self.buffer, self.at = "off", b"", []
        self.child, self.received, self.answered, self.loaded = None, 0, 0, None
        self.size, self.console = None, "loader"  # of the transfer: what is kept, what comes after
        for fault in args.fault:
            name, value = fault.split("=", 1)
            self.faults[name] = json.loads(value)

    # -- the line --

    def plug(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        attributes = termios.tcgetattr(self.slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        name = os.ttyname(self.slave)
        temporary = f"{self.link}.new"
        os.symlink(name, temporary)
        os.rename(temporary, self.link)

    def unplug(self):
        if self.master < 0:
            return
        os.unlink(self.link)
        os.close(self.master)
        os.close(self.slave)
        self.master = self.slave = -1
        self.end_transfer()

    def out(self, text):
        if self.master < 0 or self.state == "off":
            return
        data = text if isinstance(text, bytes) else text.encode()
        if self.faults["silent"] or self.faults["binary"] or self.faults["endless"]:
            return
        if self.faults["garbage"]:
            data = bytes(self.random.randrange(256) for _ in data)
        self.raw(data)

    def raw(self, data):
        """Bytes that find no room are lost, as on a line that nobody reads."""
        os.set_blocking(self.master, False)
        try:
            while data:
                data = data[os.write(self.master, data):]
        except BlockingIOError:
            pass

    def line(self, text=""):
        if self.faults["half"] and len(text) > 3:
            self.out(text[:len(text) // 2])
            self.state = "mute"
            return
        self.out(text + "\r\n")

    def later(self, seconds, what):
        self.at.append((time.monotonic() + seconds, what))

    # -- starting --

    def save(self):
        with open(self.file + ".new", "w", encoding="ascii") as f:
            json.dump(self.flash, f)
        os.rename(self.file + ".new", self.file)

    def power(self):
        self.end_transfer()
        self.at, self.buffer = [], b""
        self.settings = dict(self.flash["settings"])
        self.flash["boots"] += 1
        self.save()
        self.state = "booting"
        say("boot", version=self.flash["version"], boots=self.flash["boots"])
        if self.args.kind == "modem":
            self.later(self.args.boot_time, self.modem_up)
        else:
            self.later(self.args.boot_time, self.loader)

    def go_down(self):
        if self.faults["stuck"]:
            return
        self.end_transfer()
        self.state, self.at = "off", []
        say("down")
        if not self.faults["dead"]:
            self.later(self.args.boot_time, self.power)

    def modem_up(self):
        self.state = "modem"
        self.line()
        self.line("+CREG: 1")

    def loader(self):
        self.state = "countdown"
        self.line()
        self.line("Loader 1.4 (crc mode)")
        self.out("Hit space to stop: 2 ")
        self.later(self.args.countdown / 2, lambda: self.out("\b\b1 "))
        self.later(self.args.countdown, self.application)

    def prompt(self):
        prompts = {"loader": "loader> ", "app": "app> ", "login": "board login: ",
                   "password": "Password: "}
        if self.state in prompts:
            self.out(prompts[self.state])

    def application(self):
        flash = self.flash
        self.line()
        if flash["next"]:
            new, flash["next"] = flash["next"], None
            if self.faults["rollback"]:
                self.line(f"application {new} failed its self test, going back")
                say("rollback", version=new)
            else:
                flash["version"] = self.faults["wrong_version"] or new
                say("installed", version=flash["version"])
            self.save()
        self.line(f"Application {flash['version']} started")
        self.state = "login" if self.args.password else "app"
        self.prompt()

    # -- the console --

    def key(self, byte):
        if self.faults["noise"] and self.random.random() < self.faults["noise"]:
            byte ^= 1 << self.random.randrange(7)
        if self.state == "countdown":
            if byte != 0x20:
                return
            self.at = []
            self.state = "loader"
            self.line()
            self.prompt()
        elif byte in b"\r\n":
            text, self.buffer = self.buffer.decode("latin-1"), b""
            self.entered(text)
        elif byte in (0x15, 0x03):
            self.buffer = b""
            self.line()
            self.prompt()
        elif byte == 0x1b:
            self.buffer = b""
        elif byte >= 0x20:
            self.buffer += bytes([byte])
            if self.state in ("loader", "app", "login"):
                self.out(bytes([byte]))

    def entered(self, text):
        if self.state in ("loader", "app", "login"):
            self.line()
        if self.faults["slow"]:
            self.later(self.faults["slow"], lambda: self.answer(text))
        else:
            self.answer(text)

    def answer(self, text):
        say("line", text=text, state=self.state)
        if self.faults["chatty"] and self.state != "password":
            self.line("[12.345678] sensor: something => else")
        if self.faults["mutter"]:
            self.line(self.faults["mutter"])
        if self.state == "login":
            self.state = "password"
            self.prompt()
        elif self.state == "password":
            self.line()
            if text == self.args.password:
                self.state = "app"
            else:
                self.line("Login incorrect")
                self.state = "login"
            self.prompt()
        elif self.state == "modem":
            self.modem(text)
        elif self.state in ("loader", "app"):
            self.board(text)
            self.prompt()

    def board(self, text):
        verb, _, rest = text.strip().partition(" ")
        commands = {"version": self.do_version, "get": self.do_get, "set": self.do_set,
                    "save": self.do_save, "reboot": self.do_reboot, "factory": self.do_factory,
                    "load": self.do_load, "sum": self.do_sum, "install": self.do_install,
                    "blink": self.do_blink, "echo": self.line}
        if verb in commands:
            commands[verb](rest)
        elif verb:
            self.line(f"unknown command: {verb}")

    def do_version(self, _):
        self.line(f"Version: {self.flash['version']}")
        self.line("Model: console board")
        self.line("Serial: 4711")

    def do_get(self, name):
        values = {"interval": "60", "mode": "1", "level": "2.5", "name": "pump", **self.settings}
        if name == "wild":
            self.line("wild=99999999999")
        elif name in values:
            self.line(f"{name}={values[name]}")
        else:
            self.line(f"ERR 4 no such name: {name}")

    def do_set(self, rest):
        name, _, value = rest.partition(" ")
        if name == "ro":
            self.line("ERR 7 read only")
            return
        self.settings[name] = "clamped" if name == "clamped" else value
        self.line("OK")

    def do_save(self, _):
        self.flash["settings"] = dict(self.settings)
        self.save()
        self.line("saved")

    def do_reboot(self, _):
        self.line("Restarting now")
        if not self.faults["stuck"]:
            self.state = "mute"
            self.later(0.05, self.go_down)

    def do_factory(self, _):
        self.flash["settings"] = {}
        self.settings = {}
        self.save()
        say("factory")
        self.line("factory settings")

    def do_blink(self, times):
        self.flash["blinks"] += int(times or 1)
        self.save()
        say("blinked", times=times)
        self.line(f"blinked {times} of {self.flash['blinks']}")

    def do_sum(self, _):
        crc = self.flash["crc"]
        if self.faults["bad_flash"] and crc is not None:
            crc ^= 1
        self.line("ERR 9 nothing loaded" if crc is None else f"sum {crc:08x}")

    def do_install(self, _):
        if self.loaded is None:
            self.line("ERR 9 nothing loaded")
            return
        self.flash["next"] = self.loaded.split(b"\n", 1)[0].decode().removeprefix("VERSION ")
        self.save()
        say("marked", version=self.flash["next"])
        self.line("will run after the next restart")

    # -- an image comes --

    def do_load(self, how):
        if self.faults["full"]:
            self.line("ERR 28 no room")
            return
        kinds = {"ymodem": ["rb", "-q"], "xmodem": ["rx", "-q", "-c"], "sum": ["rx", "-q"]}
        self.received = self.answered = 0
        shutil.rmtree(os.path.join(self.args.state, "rx"), ignore_errors=True)
        os.makedirs(os.path.join(self.args.state, "rx"))
        command = [*kinds[how.split()[0]]]
        if command[0] == "rx":
            command.append("image")
        self.line("ready for the image")
        self.child = subprocess.Popen(  # pylint: disable=consider-using-with
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=os.path.join(self.args.state, "rx"))
        self.size = int(how.split()[1]) if len(how.split()) > 1 else None
        self.console, self.state = self.state, "transfer"
        say("loading", how=how)

    def spoil(self, data, before):
        """before: bytes of the transfer that came before these."""
        faults, out = self.faults, data
        for fault in ("drop", "duplicate", "corrupt"):
            at = faults[fault] - before - 1
            if faults[fault] and 0 <= at < len(data):
                byte = data[at:at + 1]
                other = {"drop": b"", "duplicate": 2 * byte, "corrupt": bytes([byte[0] ^ 0x10])}
                out = data[:at] + other[fault] + data[at + 1:]
                say("spoiled", how=fault)
        return out

    def image_bytes(self, data):
        self.received += len(data)
        faults = self.faults
        if faults["mute_after"] and self.received > faults["mute_after"]:
            say("muted")
            self.end_transfer()
            self.state = "mute"
        elif faults["die_after"] and self.received > faults["die_after"]:
            faults["die_after"] = 0
            self.go_down()
        elif faults["break_off"] and self.received > faults["break_off"]:
            faults["break_off"] = 0
            self.end_transfer()
            self.raw(b"\x18" * 8 + b"\r\nload failed\r\n")
            self.state = self.console
            self.prompt()
        elif self.child:
            try:
                self.child.stdin.write(self.spoil(data, self.received - len(data)))
                self.child.stdin.flush()
            except OSError:
                pass

    def end_transfer(self):
        if self.child:
            self.child.kill()
            self.child.wait()
            self.child.stdin.close()
            self.child.stdout.close()
            self.child = None

    def receiver_says(self):
        data = os.read(self.child.stdout.fileno(), 4096)
        if data:
            lost = self.faults["lost_answer"] - self.answered - 1
            self.answered += len(data)
            if 0 <= lost < len(data):
                say("spoiled", how="lost_answer")
                data = data[:lost] + data[lost + 1:]
            self.raw(data)
            return
        status = self.child.wait()
        self.end_transfer()
        self.state = self.console
        self.taken(status)
        self.buffer = b""
        self.prompt()

    def taken(self, status):
        folder = os.path.join(self.args.state, "rx")
        files = sorted(os.listdir(folder))
        if status != 0 or not files:
            say("load-failed", status=status)
            self.line()
            self.line("load failed")
        else:
            with open(os.path.join(folder, files[0]), "rb") as f:
                image = f.read()
            if self.size is not None:
                image = image[:self.size]
            self.loaded = image
            self.flash["crc"] = zlib.crc32(image)
            self.save()
            say("loaded", size=len(image), name=files[0], crc=self.flash["crc"],
                received=self.received)
            self.line()
            self.line(f"loaded {len(image)} bytes")

    # -- the modem --

    def modem(self, text):
        final = "OK"
        command = text.upper()
        values = {"AT+CGMI": "Acme", "AT+CGMM": "LTE-5", "AT+CGMR": f"Revision: {self.flash['version']}",
                  "AT+CGSN": "356938035643809", "AT+CSQ": "+CSQ: 21,99", "AT+CREG?": "+CREG: 0,5",
                  "AT+CGDCONT?": '+CGDCONT: 1,"IP","%s"' % self.settings.get("apn", "internet")}
        if self.faults["cme"]:
            final = f"+CME ERROR: {self.faults['cme']}"
        elif command in values:
            self.line()
            self.line(values[command])
            self.line()
        elif command.startswith('AT+CGDCONT=1,"IP",'):
            self.settings["apn"] = text.split('"')[3]
        elif command.startswith("AT+CUSD="):
            self.line('+CUSD: 0,"balance 5.00",15')
        elif command == "AT&F":
            self.settings = {}
            say("factory")
        elif command == "AT&W":
            self.do_save_quietly()
        elif command == "AT+CFUN=1,1":
            self.later(0.1, self.go_down)
        elif command not in ("AT", "ATE0", "AT+CMEE=1"):
            final = "ERROR"
        self.line(final)

    def do_save_quietly(self):
        self.flash["settings"] = dict(self.settings)
        self.save()

    # -- the loop --

    def command(self, text):
        verb, _, rest = text.partition(" ")
        if verb == "set":
            name, _, value = rest.partition(" ")
            if name not in self.faults:
                raise SystemExit(f"no fault {name}")
            self.faults[name] = json.loads(value)
        elif verb == "unplug":
            self.unplug()
        elif verb == "plug":
            self.plug()
        elif verb == "reset":
            self.power()
        elif verb == "say":
            self.line(rest)
        elif verb == "quit":
            self.unplug()
            raise SystemExit(0)
        say("done", command=text)

    def heard(self):
        try:
            data = os.read(self.master, 4096)
        except OSError:
            return
        if self.state == "transfer":
            self.image_bytes(data)
        elif self.state not in ("off", "mute", "booting"):
            for byte in data:
                self.key(byte)

    def wait(self):
        until = min((when for when, _ in self.at), default=time.monotonic() + 3600)
        if self.faults["binary"] or self.faults["endless"]:
            until = min(until, time.monotonic() + 0.01)
        return max(until - time.monotonic(), 0)

    def chatter(self):
        if self.master < 0 or self.state == "off":
            return
        if self.faults["binary"]:
            self.raw(bytes(self.random.randrange(256) for _ in range(64)))
        if self.faults["endless"]:
            self.raw(b"sensor: nothing has changed => as before, " * 4 + b"\r\n")

    def due(self):
        now = time.monotonic()
        due = [what for when, what in self.at if when <= now]
        self.at = [(when, what) for when, what in self.at if when > now]
        for what in due:
            what()

    def run(self):
        self.plug()
        self.power()
        say("up")
        commands = Commands()
        while True:
            fds = [fd for fd in (0, self.master) if fd >= 0]
            if self.child:
                fds.append(self.child.stdout.fileno())
            ready = select.select(fds, [], [], self.wait())[0]
            if 0 in ready:
                lines = commands.read()
                if lines is None:
                    self.unplug()
                    return
                for text in lines:
                    self.command(text)
            if self.master >= 0 and self.master in ready:
                self.heard()
            if self.child and self.child.stdout.fileno() in ready:
                self.receiver_says()
            self.chatter()
            self.due()


def make_image(version, size, seed):
    head = f"VERSION {version}\n".encode()
    body = random.Random(seed).randbytes(max(size - len(head) - 1, 0))
    return (head + body + b".")[:max(size, len(head))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="be the device")
    run.add_argument("--state", required=True, help="folder of the flash")
    run.add_argument("--link", required=True, help="a stable name for the pty")
    run.add_argument("--kind", choices=("board", "modem"), default="board")
    run.add_argument("--version", default="1.0.0", help="what a new device runs")
    run.add_argument("--password", help="the application asks for a login")
    run.add_argument("--boot-time", type=float, default=0.1)
    run.add_argument("--countdown", type=float, default=0.4)
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--fault", action="append", default=[], help="NAME=JSON")
    image = verbs.add_parser("make-image", help="write an image")
    image.add_argument("--version", required=True)
    image.add_argument("--size", type=int, required=True)
    image.add_argument("out")
    args = parser.parse_args()
    if args.verb == "make-image":
        with open(args.out, "wb") as file:
            file.write(make_image(args.version, args.size, args.version))
        return
    Device(args).run()


if __name__ == "__main__":
    main()
