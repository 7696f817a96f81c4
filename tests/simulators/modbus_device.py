#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An RS-485 line with Modbus RTU devices on it, on a pty, for tests.

Written from the protocol's documents. It shares nothing with the code under test.

  modbus_device.py run --state DIR --link PATH --device JSON [--device JSON...]
  modbus_device.py make-image --version 1.2.3 --size N OUT   an image for a device

A device: {"unit": 1, "version": "1.0.0"} and, where wanted, "baud" (what is sent at another speed
is not understood), "boot_unit" and "boot_baud" (its bootloader's), "serial", "objects" (of its
identification), "server_id", "max_read", "files": true (the bootloader takes file records only),
"only": [43] (functions that it knows; silent about others).

Its application has input registers 0..199 (100..109 are a hole) with i * 257, the version as text
at 1000..1005, the serial number at 1010..1011, starts at 1020; holding registers 0..63, of which
32..47 are written only while register 60 is 55aa; register 61 takes commands (a5a5 saves 0..47,
dead is a factory reset, 0b00 a restart, b007 the bootloader, 0001 counts in 62); coils and
discrete inputs 0..31. Its bootloader has b001 at 9f00, a command at 9000 (1 erase, 2 program the
block, 3 verify, 4 give up, 5 start), a status at 9001, the next block at 9002, the image's size and
CRC at 9003..9005, the block's offset, number, length and CRC at 9010..9014, its data from 9100 on.

Flash is in --state, so that kill -9 is a power cut of all of them. What happens is told as JSON
lines on stdout. Lines on stdin: `set NAME VALUE` or `set UNIT.NAME VALUE` (FAULTS), `reset UNIT`,
`off UNIT`, `on UNIT`, `unplug`, `plug`, `quit`.
"""
import argparse
import json
import os
import random
import select
import struct
import termios
import time

from pty_line import Commands, Line

BLOCK = 128
MAGIC = b"MBIM"

FAULTS = {
    "drop": 0.0,            # share of bytes lost, each way (of the line)
    "duplicate": 0.0,       # share of bytes doubled
    "corrupt": 0.0,         # share of bytes changed
    "hang": False,          # receives and stays silent
    "slow": 0.0,            # seconds before each answer
    "late": 0,              # so many answers come after `late_by` seconds
    "late_by": 0.3,
    "silent_answers": 0,    # so many answers are lost as a whole
    "lost_requests": 0,     # so many requests are lost as a whole
    "busy": 0,              # so many requests are answered by exception 6
    "acknowledge": 0,       # so many writes are done and answered by exception 5
    "exception": 0,         # every request is refused with this code
    "wrong_unit": 0,        # so many answers are preceded by one of another unit
    "wrong_function": 0,    # and by one of another function
    "old_answer": 0,        # and by one to another request
    "noise": 0,             # so many answers come after a burst of noise
    "pieces": False,        # answers come byte by byte
    "double": 0,            # so many answers come twice
    "endless": False,       # device identification that never ends
    "die_at_block": -1,     # restarts when it gets this block
    "hang_at_block": -1,    # falls silent when it gets this block
    "cut_at_block": -1,     # the whole line loses its power then
    "bad_blocks": 0,        # so many blocks are said to be damaged
    "status": 0,            # what programming a block ends with instead
    "reject": False,        # the image is not valid
    "revert": False,        # the new image does not start: the old one does
    "stuck": False,         # a restart is answered but not done
    "no_restart_answer": False,
    "dead_after_restart": False,
    "forget": False,        # a clamp: register 5 keeps no value above 100
}


def say(event, **more):
    """What has happened; one write, so that a power cut leaves no half line."""
    os.write(1, (json.dumps({"event": event, **more, "at": time.time()}) + "\n").encode())


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def sealed(data):
    return bytes(data) + struct.pack("<H", crc16(data))


def make_image(version, size):
    head = MAGIC + version.encode().ljust(12, b"\0")
    return head + random.Random(version).randbytes(max(size - len(head), 0))


class Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


# ---- the line ----------------------------------------------------------------------------------

SPEEDS = {getattr(termios, name): int(name[1:]) for name in dir(termios)
          if name.startswith("B") and name[1:].isdigit()}


def request_length(frame):
    """Of a request with its CRC; 0: more is needed; None: only its end tells."""
    function = frame[1] if len(frame) > 1 else 0
    if len(frame) < 2:
        return 0
    if function in (1, 2, 3, 4, 5, 6, 8):
        return 8
    if function in (7, 0x0B, 0x0C, 0x11):
        return 4
    if function in (0x0F, 0x10):
        return 9 + frame[6] if len(frame) > 6 else 0
    if function in (0x14, 0x15):
        return 5 + frame[2] if len(frame) > 2 else 0
    if function == 0x16:
        return 10
    if function == 0x17:
        return 13 + frame[10] if len(frame) > 10 else 0
    if function == 0x2B:
        return 7
    return None


# ---- a device ----------------------------------------------------------------------------------

class Device:
    def __init__(self, bus, spec):
        self.bus, self.spec = bus, spec
        self.unit = spec["unit"]
        self.file = os.path.join(bus.args.state, f"unit-{self.unit}.json")
        self.faults = dict.fromkeys(FAULTS)  # None: as the line's
        self.flash = {"version": spec.get("version", "1.0.0"), "valid": True, "saved": {},
                      "image": "", "next": 0, "erased": False, "starts": 0}
        if os.path.exists(self.file):
            with open(self.file, encoding="utf-8") as f:
                self.flash.update(json.load(f))
        self.up = self.booting = False
        self.counted = 0
        self.start()

    def save(self):
        with open(self.file + ".new", "w", encoding="utf-8") as f:
            json.dump(self.flash, f)
        os.rename(self.file + ".new", self.file)

    def fault(self, name):
        own = self.faults[name]
        return self.bus.faults[name] if own is None else own

    def take(self, name):
        """A fault that counts down: is it this time?"""
        table = self.faults if self.faults[name] is not None else self.bus.faults
        if table[name]:
            table[name] -= 1
            return True
        return False

    # -- power --

    def start(self, boot=False):
        self.booting = boot or not self.flash["valid"]
        self.holding = [0] * 64
        for i in range(48):
            self.holding[i] = self.flash["saved"].get(str(i), self.factory(i))
        self.coils = [False] * 32
        self.window = [0] * 64
        self.boot = {"status": 0, "busy_until": 0.0, "after": 0, "size": 0, "crc": 0, "offset": 0,
                     "block": 0, "length": 0, "block_crc": 0, "verified": False}
        self.flash["starts"] += 1
        self.save()
        self.up = True
        say("up", unit=self.unit, where="boot" if self.booting else "app",
            version=self.flash["version"], starts=self.flash["starts"])

    @staticmethod
    def factory(i):
        return {0: 0, 1: 60, 2: 0x4248, 3: 0, 5: 10}.get(i, i)

    def off(self):
        self.up = False
        say("down", unit=self.unit)

    def restart(self, boot=False, after=None):
        if self.fault("stuck"):
            return
        self.off()
        if not self.fault("dead_after_restart"):
            self.bus.later(self.bus.args.boot_time if after is None else after,
                           lambda: self.start(boot))

    # -- who listens --

    @property
    def address(self):
        return self.spec.get("boot_unit", self.unit) if self.booting else self.unit

    @property
    def baud(self):
        own = self.spec.get("baud")
        return self.spec.get("boot_baud", own) if self.booting else own

    # -- requests --

    def answer(self, frame):
        """The PDU of the answer; None: silence."""
        function, data = frame[1], frame[2:-2]
        if function not in self.spec.get("only", (function,)):
            return None
        try:
            if self.fault("exception"):
                raise Refused(self.fault("exception"))
            if self.take("busy"):
                raise Refused(6)
            handler = getattr(self, f"on_{function:02x}", None)
            if handler is None:
                raise Refused(1)
            done = handler(data)
            if function in (5, 6, 0x0F, 0x10, 0x15) and self.take("acknowledge"):
                raise Refused(5)
            return None if done is None else bytes([function]) + done
        except Refused as refused:
            say("refused", unit=self.unit, function=function, code=refused.code)
            return bytes([function | 0x80, refused.code])

    def bits(self, table, data):
        at, count = struct.unpack(">HH", data)
        if not 1 <= count <= 2000:
            raise Refused(3)
        if self.booting or at + count > 32:
            raise Refused(2)
        packed = bytearray((count + 7) // 8)
        for i in range(count):
            packed[i // 8] |= table[at + i] << i % 8
        return bytes([len(packed)]) + packed

    def on_01(self, data):
        return self.bits(self.coils, data)

    def on_02(self, data):
        return self.bits([i % 3 == 0 for i in range(32)], data)

    def registers(self, data, get):
        at, count = struct.unpack(">HH", data)
        if not 1 <= count <= self.spec.get("max_read", 125):
            raise Refused(3)
        values = [get(at + i) for i in range(count)]
        say("read", unit=self.unit, address=at, count=count)
        return bytes([2 * count]) + struct.pack(f">{count}H", *values)

    def on_03(self, data):
        return self.registers(data, self.boot_register if self.booting else self.app_register)

    def on_04(self, data):
        return self.registers(data, self.input_register)

    def app_register(self, at):
        if at == 62:
            return self.counted
        if at < 64:
            return self.holding[at]
        raise Refused(2)

    def input_register(self, at):
        if self.booting:
            raise Refused(2)
        if 1000 <= at < 1006:
            return struct.unpack(">6H", self.flash["version"].encode().ljust(12, b"\0"))[at - 1000]
        if 1010 <= at < 1012:
            return struct.unpack(">2H", struct.pack(">I", self.spec.get("serial", 4711)))[at - 1010]
        if at == 1020:
            return self.flash["starts"] & 0xFFFF
        if at >= 200 or 100 <= at < 110:
            raise Refused(2)
        return at * 257 & 0xFFFF

    def write(self, at, values):
        if self.booting:
            for i, value in enumerate(values):
                self.boot_write(at + i, value)
            return
        if at + len(values) > 64:
            raise Refused(2)
        for i, value in enumerate(values, at):
            if 32 <= i < 48 and self.holding[60] != 0x55AA:
                raise Refused(3)
            if i == 5 and value > 100 and self.fault("forget"):
                value = 100
            self.holding[i] = value
            say("write", unit=self.unit, address=i, value=value)
            if i == 61:
                self.order(value)

    def order(self, value):
        if value == 0xA5A5:
            self.flash["saved"] = {str(i): self.holding[i] for i in range(48)}
            self.save()
        elif value == 0xDEAD:
            self.flash["saved"] = {}
            self.save()
            self.bus.later(0.05, self.restart)
        elif value == 0x0B00:
            self.bus.later(0.05, self.restart)
        elif value == 0xB007:
            self.bus.later(0.02, lambda: self.restart(boot=True))
        elif value == 1:
            self.counted += 1
        else:
            raise Refused(3)

    def on_05(self, data):
        at, value = struct.unpack(">HH", data)
        if value not in (0, 0xFF00):
            raise Refused(3)
        if self.booting or at >= 32:
            raise Refused(2)
        self.coils[at] = value != 0
        say("coil", unit=self.unit, address=at, value=value != 0)
        return data

    def on_06(self, data):
        at, value = struct.unpack(">HH", data)
        self.write(at, [value])
        return None if value == 0x0B00 and self.fault("no_restart_answer") else data

    def on_08(self, data):
        sub, value = struct.unpack(">HH", data)
        if sub == 1:
            self.counted = 0
            self.bus.later(0.02, self.restart)
            return None if self.fault("no_restart_answer") else data
        if sub != 0:
            raise Refused(1)
        return data

    def on_0b(self, data):
        return struct.pack(">HH", 0, self.counted)

    def on_0f(self, data):
        at, count, size = struct.unpack(">HHB", data[:5])
        if not 1 <= count <= 1968 or size != (count + 7) // 8 or len(data) != 5 + size:
            raise Refused(3)
        if self.booting or at + count > 32:
            raise Refused(2)
        for i in range(count):
            self.coils[at + i] = bool(data[5 + i // 8] >> i % 8 & 1)
        return data[:4]

    def on_10(self, data):
        at, count, size = struct.unpack(">HHB", data[:5])
        if not 1 <= count <= 123 or size != 2 * count or len(data) != 5 + size:
            raise Refused(3)
        self.write(at, struct.unpack(f">{count}H", data[5:]))
        return data[:4]

    def on_11(self, data):
        text = self.spec.get("server_id")
        if text is None or self.booting:
            raise Refused(1)
        return bytes([len(text) + 1]) + text.encode() + b"\xff"

    def on_16(self, data):
        at, keep, add = struct.unpack(">HHH", data)
        if self.booting or at >= 48:
            raise Refused(2)
        self.write(at, [(self.holding[at] & keep) | (add & ~keep & 0xFFFF)])
        return data

    def on_15(self, data):
        """One sub-request: type, file, record, length, words."""
        if not self.booting or not self.spec.get("files"):
            raise Refused(1)
        if len(data) < 10 or data[0] != len(data) - 1 or data[1] != 6:
            raise Refused(3)
        file, record, words = struct.unpack(">HHH", data[2:8])
        if len(data) != 8 + 2 * words or file < 4 or record > 9999 or record + words > 10000:
            raise Refused(2)
        at = 2 * ((file - 4) * 10000 + record)
        if not self.flash["erased"] or at > len(self.flash["image"]) // 2:
            raise Refused(4)  # a gap
        self.program(at, data[8:])
        return data

    def on_2b(self, data):
        objects = self.spec.get("objects")
        if data[0] != 0x0E or objects is None or self.booting:
            raise Refused(1)
        if not 1 <= data[1] <= 3:
            raise Refused(3)
        known = sorted((int(i), text) for i, text in objects.items())
        known = [(i, self.flash["version"] if text == "$version" else text) for i, text in known
                 if i <= (2, 0x7F, 0xFF)[data[1] - 1]]
        rest = [(i, text) for i, text in known if i >= data[2]]
        if not rest:
            raise Refused(2)
        now, later = rest[:2], rest[2:]  # two objects an answer
        more = bool(later) or self.fault("endless")
        following = later[0][0] if later else data[2]
        out = bytes([0x0E, data[1], 0x83, 0xFF if more else 0, following if more else 0, len(now)])
        for i, text in now:
            out += bytes([i, len(text)]) + text.encode()
        return out

    def on_41(self, data):
        """The vendor's own: gives back what it gets, backwards."""
        return data[::-1]

    # -- the bootloader --

    def boot_register(self, at):
        boot = self.boot
        if 0x9100 <= at < 0x9140:
            return self.window[at - 0x9100]
        if at == 0x9001 and time.monotonic() < boot["busy_until"]:
            return 1
        known = {0x9001: boot["status"], 0x9002: self.flash["next"], 0x9F00: 0xB001}
        if at not in known:
            raise Refused(2)
        return known[at]

    def boot_write(self, at, value):
        boot = self.boot
        if 0x9100 <= at < 0x9140:
            self.window[at - 0x9100] = value
        elif at == 0x9000:
            self.boot_order(value)
        elif at in (0x9003, 0x9010):
            self.high = value
        elif at == 0x9004:
            boot["size"] = self.high << 16 | value
        elif at == 0x9011:
            boot["offset"] = self.high << 16 | value
        elif at in (0x9005, 0x9012, 0x9013, 0x9014):
            boot[{0x9005: "crc", 0x9012: "block", 0x9013: "length", 0x9014: "block_crc"}[at]] = value
        else:
            raise Refused(2)

    def boot_order(self, value):
        boot = self.boot
        if time.monotonic() < boot["busy_until"]:
            raise Refused(6)
        say("order", unit=self.unit, order=value)
        if value == 1:
            self.flash.update(image="", next=0, erased=True, valid=False)
            self.save()
            boot.update(status=0, verified=False,
                        busy_until=time.monotonic() + self.bus.args.erase_time)
        elif value == 2:
            boot["status"] = self.program_block()
        elif value == 3:
            boot["status"] = self.verify()
        elif value == 4:
            self.flash.update(image="", next=0, erased=False)
            self.save()
            say("given_up", unit=self.unit)
        elif value == 5:
            self.boot_application()
        else:
            raise Refused(3)

    def program_block(self):
        boot = self.boot
        data = struct.pack(">64H", *self.window)[:boot["length"]]
        boot["busy_until"] = time.monotonic() + self.bus.args.program_time
        if boot["block"] == self.fault("die_at_block"):
            self.faults["die_at_block"] = -1
            self.restart()
        if boot["block"] == self.fault("hang_at_block"):
            self.faults.update(hang=True, hang_at_block=-1)
            return 0
        if boot["block"] == self.fault("cut_at_block"):
            say("cut", unit=self.unit)
            os.kill(os.getpid(), 9)
        if self.fault("status"):
            return self.fault("status")
        if not self.flash["erased"]:
            return 6
        if crc16(data) != boot["block_crc"] or self.take("bad_blocks"):
            return 2
        if boot["block"] == self.flash["next"] - 1:
            return 0  # it has it; the answer was lost
        if boot["block"] != self.flash["next"]:
            return 3
        if boot["offset"] != boot["block"] * BLOCK:
            return 4
        self.program(boot["offset"], data)
        return 0

    def program(self, at, data):
        image = bytes.fromhex(self.flash["image"])
        image = image[:at] + data + image[at + len(data):]
        self.flash.update(image=image.hex(), next=(len(image) + BLOCK - 1) // BLOCK)
        self.save()
        say("block", unit=self.unit, offset=at, size=len(data))

    def verify(self):
        image = bytes.fromhex(self.flash["image"])[:self.boot["size"]]
        good = (len(image) == self.boot["size"] and crc16(image) == self.boot["crc"] and
                image[:4] == MAGIC and not self.fault("reject"))
        self.boot["verified"] = good
        say("verified", unit=self.unit, good=good, size=len(image))
        return 0 if good else 5

    def boot_application(self):
        if not self.boot["verified"]:
            say("stays", unit=self.unit)
            return
        if not self.fault("revert"):
            self.flash["version"] = bytes.fromhex(self.flash["image"])[4:16].rstrip(b"\0").decode()
        self.flash.update(valid=True, erased=False, next=0)
        self.save()
        self.bus.later(0.05, self.restart)


# ---- the bus -----------------------------------------------------------------------------------

class Bus:
    QUIET = 0.03  # s of silence that end a frame; a pty cannot show 3.5 characters

    def __init__(self, args):
        self.args, self.at = args, []
        self.faults = dict(FAULTS)
        os.makedirs(args.state, exist_ok=True)
        self.line = Line(args.link, self.faults, args.seed, args.echo)
        self.buffer, self.heard = bytearray(), 0.0
        self.devices = [Device(self, json.loads(spec)) for spec in args.device]
        for item in args.fault:
            name, _, value = item.partition("=")
            self.set_fault(name, json.loads(value or "true"))
        say("ready", link=args.link, pid=os.getpid())

    def set_fault(self, name, value):
        unit, _, plain = name.rpartition(".")
        if plain not in FAULTS:
            raise SystemExit(f"no fault '{plain}' (there are: {', '.join(FAULTS)})")
        if unit:
            self.device(unit).faults[plain] = value
        else:
            self.faults[plain] = value

    def device(self, unit):
        return next(device for device in self.devices if device.unit == int(unit))

    def later(self, delay, what):
        self.at.append((time.monotonic() + delay, what))

    # -- frames --

    def receive(self):
        data = self.line.read()
        if time.monotonic() - self.heard > self.QUIET:
            self.drop()
        self.buffer += data
        self.heard = time.monotonic()
        while True:
            length = request_length(self.buffer)
            if not length or len(self.buffer) < length:
                return
            if crc16(self.buffer[:length]) != 0:
                return  # until the line is silent
            frame = bytes(self.buffer[:length])
            del self.buffer[:length]
            self.deliver(frame)

    def drop(self):
        """Silence: what is there is a frame of a vendor's function, or damaged."""
        frame = bytes(self.buffer)
        self.buffer.clear()
        if len(frame) >= 4 and crc16(frame) == 0:
            self.deliver(frame)
        elif frame:
            say("damaged", bytes=frame.hex())

    def deliver(self, frame):
        speed = SPEEDS.get(termios.tcgetattr(self.line.slave)[5], 0)
        for device in self.devices:
            if not device.up or frame[0] not in (0, device.address):
                continue
            if device.baud and device.baud != speed:
                say("not_understood", unit=device.unit, speed=speed)
                continue
            if device.fault("hang") or device.take("lost_requests"):
                continue
            self.say_answer(device, frame)

    def say_answer(self, device, frame):
        pdu = device.answer(frame)
        if (pdu is None or frame[0] == 0 or device.fault("hang") or
                device.take("silent_answers")):
            return
        address = frame[0]
        out = b""
        if device.take("noise"):
            out += bytes(random.Random(7).randbytes(9))
        if device.take("wrong_unit"):
            out += sealed(bytes([address % 247 + 1]) + pdu)
        if device.take("wrong_function"):
            out += sealed(bytes([address, 0x07, 0x55]))
        if device.take("old_answer") and pdu[0] in (3, 4):
            out += sealed(bytes([address, pdu[0], 2, 0xDE, 0xAD]))
        out += sealed(bytes([address]) + pdu)
        if device.take("double"):
            out += sealed(bytes([address]) + pdu)
        delay = device.fault("slow")
        if device.take("late"):
            delay += device.fault("late_by")
        if delay:
            self.later(delay, lambda: self.send(device, out))
        else:
            self.send(device, out)

    def send(self, device, out):
        if not device.fault("pieces"):
            self.line.write(out)
            return
        for i, byte in enumerate(out):
            self.later(0.002 * i, lambda one=byte: self.line.write(bytes([one])))

    # -- the loop --

    def command(self, text):
        verb, *rest = text.split(maxsplit=2)
        if verb == "set":
            self.set_fault(rest[0], json.loads(rest[1]))
        elif verb == "reset":
            self.device(rest[0]).restart()
        elif verb == "off":
            self.device(rest[0]).off()
        elif verb == "on":
            self.device(rest[0]).start()
        elif verb == "unplug":
            self.line.unplug()
        elif verb == "plug":
            self.line.plug()
        elif verb == "quit":
            self.line.unplug()
            raise SystemExit(0)
        say("done", command=text)

    def wait(self):
        until = min((when for when, _ in self.at), default=time.monotonic() + 3600)
        if self.buffer:
            until = min(until, self.heard + self.QUIET)
        return max(until - time.monotonic(), 0)

    def run(self):
        commands = Commands()
        while True:
            fds = [fd for fd in (0, self.line.master) if fd >= 0]
            ready = select.select(fds, [], [], self.wait())[0]
            if 0 in ready:
                lines = commands.read()
                if lines is None:
                    self.line.unplug()
                    return
                for text in lines:
                    self.command(text)
            if self.line.master >= 0 and self.line.master in ready:
                self.receive()
            now = time.monotonic()
            if self.buffer and now - self.heard >= self.QUIET:
                self.drop()
            due = sorted((item for item in self.at if item[0] <= now), key=lambda item: item[0])
            self.at = [item for item in self.at if item[0] > now]
            for _, what in due:
                what()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="be the line")
    run.add_argument("--state", required=True, help="folder of the flash")
    run.add_argument("--link", required=True, help="a stable name for the pty")
    run.add_argument("--device", action="append", required=True, help="JSON")
    run.add_argument("--boot-time", type=float, default=0.3)
    run.add_argument("--erase-time", type=float, default=0.1)
    run.add_argument("--program-time", type=float, default=0.0)
    run.add_argument("--echo", action="store_true", help="the line gives back what is sent")
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--fault", action="append", default=[], help="NAME=JSON")
    image = verbs.add_parser("make-image", help="write an image")
    image.add_argument("--version", required=True)
    image.add_argument("--size", type=int, required=True)
    image.add_argument("out")
    args = parser.parse_args()
    if args.verb == "make-image":
        with open(args.out, "wb") as f:
            f.write(make_image(args.version, args.size))
        return
    Bus(args).run()


if __name__ == "__main__":
    main()
