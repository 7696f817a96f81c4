#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A device that speaks SMP on a pty, for tests.

Written from the protocol's documentation and from what was observed with MCUboot's serial
recovery. It shares nothing with the code under test.

  smp_device.py run --state DIR [--link PATH] [options]   the device
  smp_device.py make-image --version 1.2.3 --size N OUT   an image for it

Two kinds: `mcuboot` (serial recovery: result codes of version 1, no settings, an upload begins
anew at offset 0, a block with a wrong offset is answered with the expected one) and `zephyr` (an
application: settings, os info, upload resumed by the sha of the file, errors of version 2 for
requests of version 2).

The flash is in --state: `bank0.bin`, `bank1.bin` and `state.json`, which also says which bank is
slot 0. So `kill -9` is a power cut, at any instant, and starting it again powers the device up.
What it does is told as JSON lines on stdout, each with the wall clock; faults are switched by lines
on stdin: `set NAME VALUE` (VALUE is JSON; see FAULTS), `unplug`, `plug`, `reset`, `quit`.
"""
import argparse
import base64
import binascii
import hashlib
import json
import os
import random
import select
import signal
import struct
import time

import cbor2

from pty_line import Commands, Line

MAGIC = 0x96F3B83D
GOOD_SIGNATURE = b"\xa5" * 64

FAULTS = {
    "drop": 0.0,             # share of bytes lost, each way
    "duplicate": 0.0,        # share of bytes doubled
    "corrupt": 0.0,          # share of bytes changed
    "hang": False,           # receives and stays silent
    "garbage": False,        # answers with something else
    "huge": False,           # answers with a body that claims to be endless
    "slow": 0.0,             # seconds before each answer
    "busy": 0,               # so many image requests are answered with "busy"
    "silent_answers": 0,     # so many answers are lost as a whole
    "lost_requests": 0,      # so many requests are lost as a whole
    "wrong_seq": False,      # an answer to an older request comes before each answer
    "log": 0,                # log lines between frames: every so many answers
    "chatter": False,        # log text without end
    "die_after": 0,          # power cut after so many bytes of an upload
    "revert_on_boot": False, # a new image does not survive its first start
    "ill": 0.0,              # seconds after the start of a test image when it falls silent
    "crash": 0.0,            # seconds after the start of a test image when it restarts by itself
    "self_confirm": 0.0,     # seconds after the start of a test image when it confirms itself
    "dozes": 0.0,            # seconds after the start of a test image: misses the next request
    "refuse_confirm": False, # a confirm is answered but not done
    "stuck": False,          # a reset is answered but not done
    "dead_after_reset": False,  # never comes back from the next reset
    "back": 0,               # so many upload answers ask for a block again
    "forget_at": 0,          # the upload state is lost once at this offset
}


def say(event, **more):
    """What has happened; one write, so that a power cut leaves no half line."""
    line = json.dumps({"event": event, **more, "at": time.time()}) + "\n"
    os.write(1, line.encode())


# ---- images ------------------------------------------------------------------------------------

def make_image(version, size, seed=0, bad_signature=False, protected=False):
    """Header, body, TLVs: SHA-256 over header, body (and protected TLVs), and a signature."""
    numbers = version.replace("+", ".").split(".")
    major, minor, revision, build = (int(n) for n in (numbers + ["0"] * 4)[:4])
    extra = struct.pack("<HH", 0x6908, 4 + 4 + 4) + struct.pack("<HHI", 0x50, 4, 7) if protected else b""
    tail = 4 + 4 + 32 + 4 + 64
    body = random.Random(f"{version}/{seed}").randbytes(max(size - 32 - tail - len(extra), 1))
    header = struct.pack("<IIHHIIBBHII", MAGIC, 0, 32, len(extra), len(body), 0,
                         major, minor, revision, build, 0)
    covered = header + body + extra
    digest = hashlib.sha256(covered).digest()
    signature = b"\0" * 64 if bad_signature else GOOD_SIGNATURE
    tlvs = struct.pack("<HH", 0x10, 32) + digest + struct.pack("<HH", 0x24, 64) + signature
    return covered + struct.pack("<HH", 0x6907, 4 + len(tlvs)) + tlvs


def parse_image(flash):
    """(version, hash) of a valid image, else None, as the bootloader sees it."""
    if len(flash) < 32:
        return None
    magic, _, hdr, protect, size, _, major, minor, revision, build = struct.unpack_from(
        "<IIHHIIBBHI", flash)
    end = hdr + size + protect
    if magic != MAGIC or len(flash) < end + 4:
        return None
    tlv_magic, total = struct.unpack_from("<HH", flash, end)
    if tlv_magic != 0x6907:
        return None
    tlvs, at = {}, end + 4
    while at + 4 <= min(end + total, len(flash)):
        kind, length = struct.unpack_from("<HH", flash, at)
        tlvs[kind] = bytes(flash[at + 4:at + 4 + length])
        at += 4 + length
    digest = hashlib.sha256(flash[:end]).digest()
    if tlvs.get(0x10) != digest or tlvs.get(0x24) != GOOD_SIGNATURE:
        return None
    version = f"{major}.{minor}.{revision}" + (f".{build}" if build else "")
    return version, digest


# ---- what survives a power cut -----------------------------------------------------------------

class Flash:
    def __init__(self, folder, slot_size, first_image):
        self.folder, self.slot_size = folder, slot_size
        os.makedirs(folder, exist_ok=True)
        self.file = os.path.join(folder, "state.json")
        self.state = {"pending": None, "confirmed": True, "testing": False, "boots": 0,
                      "swaps": 0, "reverts": 0, "first_bank": 0, "settings": {}, "count": 0}
        if os.path.exists(self.file):
            with open(self.file, encoding="utf-8") as f:
                self.state.update(json.load(f))
        else:
            self.put(0, b"" if first_image is None else open(first_image, "rb").read())
            self.put(1, b"")
            self.save()

    def slot(self, n):
        return os.path.join(self.folder, f"bank{n ^ self.state['first_bank']}.bin")

    def put(self, n, data):
        with open(self.slot(n), "wb") as f:
            f.write(data)

    def get(self, n):
        with open(self.slot(n), "rb") as f:
            return f.read()

    def write(self, n, offset, data):
        fd = os.open(self.slot(n), os.O_WRONLY)
        os.pwrite(fd, data, offset)
        os.close(fd)

    def swap(self, count):
        """In force, with its count, once it is saved: a power cut leaves the old or the new."""
        self.state["first_bank"] ^= 1
        self.state[count] += 1

    def save(self):
        with open(self.file + ".new", "w", encoding="utf-8") as f:
            json.dump(self.state, f)
        os.rename(self.file + ".new", self.file)


# ---- the line ----------------------------------------------------------------------------------

def crc16(data):
    return binascii.crc_hqx(data, 0)


def frame(packet):
    raw = struct.pack(">H", len(packet) + 2) + packet + struct.pack(">H", crc16(packet))
    text = base64.b64encode(raw)
    out, marker = b"", b"\x06\x09"
    for at in range(0, len(text), 124):
        out += marker + text[at:at + 124] + b"\n"
        marker = b"\x04\x14"
    return out


class Receiver:
    """Lines in, packets out; anything damaged is dropped without a word."""

    def __init__(self, limit):
        self.limit, self.line, self.text = limit, bytearray(), None

    def clear(self):
        self.line.clear()
        self.text = None

    def feed(self, data):
        packets = []
        for byte in data:
            if byte != 0x0A:
                if len(self.line) < 1024:
                    self.line.append(byte)
                continue
            packet = self.take(bytes(self.line))
            self.line.clear()
            if packet is not None:
                packets.append(packet)
        return packets

    def take(self, line):
        if line[:2] == b"\x06\x09":
            self.text = line[2:]
        elif line[:2] == b"\x04\x14" and self.text is not None:
            self.text += line[2:]
        else:
            return None
        try:
            raw = base64.b64decode(self.text, validate=True)
        except binascii.Error:
            return None
        if len(raw) > self.limit:  # a buffer of the device's size would have run over
            self.text = None
            return None
        if len(raw) < 2 or len(raw) < struct.unpack(">H", raw[:2])[0] + 2:
            return None
        self.text = None
        packet = raw[2:]
        if len(packet) != struct.unpack(">H", raw[:2])[0] or crc16(packet) != 0:
            return None
        return packet[:-2]


# ---- the device --------------------------------------------------------------------------------

class Refused(Exception):
    """rc of version 1, and {group: rc} of version 2 if it has one."""

    def __init__(self, rc, group=None, err=None):
        super().__init__(rc)
        self.rc, self.group, self.err = rc, group, err


class Device:
    def __init__(self, args):
        self.args = args
        self.faults = dict(FAULTS)
        for item in args.fault:
            name, _, value = item.partition("=")
            self.set_fault(name, json.loads(value or "true"))
        self.flash = Flash(args.state, args.slot_size, args.image)
        self.line = Line(args.link, self.faults, args.seed, patience=0.2)
        self.receiver = Receiver(args.buf_size)
        self.factory = dict(item.split("=", 1) for item in args.setting)
        self.at = []  # (when, what): things that will happen
        self.answers = 0
        self.last_frame = b""
        self.up = self.going = False
        self.zephyr = args.kind == "zephyr"
        say("ready", pty=self.line.name, link=args.link, kind=args.kind, pid=os.getpid())
        self.boot()

    def set_fault(self, name, value):
        if name not in FAULTS:
            raise SystemExit(f"no fault '{name}' (there are: {', '.join(FAULTS)})")
        self.faults[name] = value

    # -- power --

    def boot(self):
        """The bootloader's part: swap, or swap back; then whatever runs starts afresh."""
        state = self.flash.state
        before = state["pending"], state["testing"]
        done = self.choose_image(state)
        state["boots"] += 1
        self.flash.save()
        for event, more in done:
            say(event, **more)
        self.upload = None
        self.receiver.clear()
        self.settings = dict(self.factory)
        self.settings.update(state["settings"])
        image = parse_image(self.flash.get(0))
        say("boot", count=state["boots"], version=image[0] if image else None,
            hash=image[1].hex() if image else None, confirmed=state["confirmed"], was=before,
            swaps=state["swaps"], reverts=state["reverts"])
        self.line.write(b"*** Booting MCUboot ***\r\nI: Image index: 0, Swap type: none\r\n")
        self.later(self.args.boot_time, self.start)

    def choose_image(self, state):
        """Not in force before it is saved; the events that tell of it."""
        done = []
        if state["testing"] and not state["confirmed"]:
            self.flash.swap("reverts")  # nobody confirmed it
            state.update(testing=False, confirmed=True)
            return [("revert", {})]
        if state["pending"] and parse_image(self.flash.get(1)):
            permanent = state["pending"] == "permanent"
            self.flash.swap("swaps")
            state.update(testing=not permanent, confirmed=permanent)
            done.append(("swap", {"permanent": permanent}))
            if self.faults["revert_on_boot"]:
                self.flash.swap("reverts")
                state.update(testing=False, confirmed=True)
                done.append(("revert", {}))
        state["pending"] = None
        return done

    def start(self):
        self.up = True
        self.line.read() if self.line.master >= 0 else None  # what came meanwhile is lost
        if self.faults["ill"] and self.flash.state["testing"]:
            self.later(self.faults["ill"], lambda: self.set_fault("hang", True))
        if self.faults["crash"] and self.flash.state["testing"]:
            self.later(self.faults["crash"], self.go_down)
        if self.faults["self_confirm"] and self.flash.state["testing"]:
            self.later(self.faults["self_confirm"], self.confirm)
        if self.faults["dozes"] and self.flash.state["testing"]:
            self.later(self.faults["dozes"], lambda: self.set_fault("lost_requests", 1))
        say("up")

    def go_down(self):
        self.going = False
        if self.faults["stuck"]:
            return
        self.up = False
        self.faults["hang"] = False
        say("down")
        if not self.faults["dead_after_reset"]:
            self.boot()

    def later(self, seconds, what):
        self.at.append((time.monotonic() + seconds, what))

    # -- os group --

    def os_group(self, command, op, body, version):
        if command == 0 and op == 2:
            return {"r": body.get("d", "")}
        if command == 5 and op == 2:
            say("reset")
            if not self.going:
                self.later(self.args.reset_delay, self.go_down)
            self.going = True
            return {} if self.zephyr else {"rc": 0}
        if command == 6 and op == 0 and not self.args.no_params:
            return {"buf_size": self.args.buf_size, "buf_count": 1}
        if command == 7 and op == 0 and self.zephyr:
            known = {"i": self.args.board, "s": "Zephyr", "n": "unknown"}
            return {"output": " ".join(known.get(c, "?") for c in body.get("format", "s"))}
        raise Refused(8)

    # -- image group --

    def images(self):
        state, entries = self.flash.state, []
        for slot in (0, 1):
            image = parse_image(self.flash.get(slot))
            if not image:
                continue  # not valid: not there
            entry = {"slot": slot, "version": image[0], "hash": image[1], "bootable": True}
            if self.zephyr:
                entry["image"] = 0
            flags = {"active": slot == 0, "confirmed": slot == 0 and state["confirmed"],
                     "pending": slot == 1 and state["pending"] is not None,
                     "permanent": slot == 1 and state["pending"] == "permanent"}
            entry.update({k: v for k, v in flags.items() if v or self.zephyr})
            entries.append(entry)
        return {"images": entries, "splitStatus": 0} if self.zephyr else {"images": entries}

    def set_state(self, body, version):
        state = self.flash.state
        digest, confirm = body.get("hash"), bool(body.get("confirm"))
        if digest is not None and len(digest) != 32:
            raise Refused(3, 1, 8)
        held = [s for s in (0, 1) if (parse_image(self.flash.get(s)) or (0, 0))[1] == digest]
        if digest is not None and not held:
            raise Refused(5, 1, 3)
        if digest is None or held[0] == 0:
            if confirm and not self.faults["refuse_confirm"]:
                self.confirm()
                return self.images()
        else:
            state["pending"] = "permanent" if confirm else "test"
        self.save_state()
        return self.images()

    def confirm(self):
        self.flash.state.update(confirmed=True, testing=False)
        self.save_state()

    def save_state(self):
        self.flash.save()
        say("state", pending=self.flash.state["pending"], confirmed=self.flash.state["confirmed"])

    def begin_upload(self, body, target):
        length, data = body.get("len"), body.get("data", b"")
        if not isinstance(length, int):
            raise Refused(3, 1, 21)
        if length > self.args.slot_size:
            raise Refused(3, 1, 30)
        if self.zephyr:
            if len(data) < 32:
                raise Refused(3, 1, 22)
            if struct.unpack("<I", data[:4])[0] != MAGIC:
                raise Refused(3, 1, 23)
        self.flash.put(target, b"")
        if target == 1:
            self.flash.state["pending"] = None
            self.flash.save()
        self.upload = {"off": 0, "len": length, "sha": body.get("sha"), "slot": target}
        say("erase", slot=target)

    def upload_block(self, body, version):
        offset, data = body.get("off"), body.get("data", b"")
        image = body.get("image", 0)
        if not isinstance(offset, int):
            raise Refused(3, 1, 20)
        if offset == 0:
            target = 1 if self.zephyr or image == 2 else 0 if image in (0, 1) else None
            if target is None:
                raise Refused(3, 1, 14)
            same = self.upload and self.zephyr and body.get("sha") and \
                self.upload["sha"] == body["sha"] and self.upload["len"] == body.get("len")
            if same:
                say("resume", off=self.upload["off"])
                return self.at_offset()
            self.begin_upload(body, target)
        up = self.upload
        if self.faults["forget_at"] and up and up["off"] >= self.faults["forget_at"]:
            self.faults["forget_at"] = 0
            self.upload = up = None
        if up is None:
            if self.zephyr:
                return {"off": 0}
            up = {"off": 0, "len": 0, "sha": None, "slot": 0}
        if offset != up["off"]:
            say("wrong-offset", got=offset, expected=up["off"])
            return {"off": up["off"]} if self.zephyr else {"rc": 0, "off": up["off"]}
        if offset + len(data) > up["len"]:
            raise Refused(3, 1, 31)
        self.flash.write(up["slot"], offset, data)
        up["off"] += len(data)
        say("upload", off=up["off"], len=up["len"], slot=up["slot"], block=len(data))
        if self.faults["die_after"] and up["off"] >= self.faults["die_after"]:
            say("power-cut", off=up["off"])
            os.kill(os.getpid(), signal.SIGKILL)
        if self.faults["back"] and up["off"] > len(data):
            self.faults["back"] -= 1
            up["off"] -= len(data)
        return self.at_offset()

    def at_offset(self):
        up = self.upload
        answer = {"off": up["off"]} if self.zephyr else {"rc": 0, "off": up["off"]}
        if up["off"] == up["len"]:
            if self.zephyr and up["sha"]:
                whole = self.flash.get(up["slot"])[:up["len"]]
                answer["match"] = hashlib.sha256(whole).digest() == up["sha"]
            self.upload = None
            say("uploaded", slot=up["slot"])
        return answer

    def image_group(self, command, op, body, version):
        if self.faults["busy"]:
            self.faults["busy"] -= 1
            raise Refused(10)
        if command == 0 and op == 0:
            return self.images()
        if command == 0 and op == 2:
            return self.set_state(body, version)
        if command == 1 and op == 2:
            return self.upload_block(body, version)
        if command == 6 and op == 0 and not self.args.no_slot_info:
            slots = [{"slot": s, "size": self.args.slot_size} for s in (0, 1)]
            if not self.zephyr and not self.args.primary:
                slots[0]["upload_image_id"], slots[1]["upload_image_id"] = 1, 2
            return {"images": [{"image": 0, "slots": slots}]}
        raise Refused(8)

    # -- settings, storage, vendor --

    def settings_group(self, command, op, body, version):
        if not self.zephyr:
            raise Refused(8)
        if command == 0:
            name = body.get("name")
            if name not in self.settings:
                raise Refused(5, 3, 3)
            if op == 0:
                return {"val": bytes.fromhex(self.settings[name])}
            if name.startswith("ro/"):
                raise Refused(8, 3, 6)
            value = body.get("val", b"")
            if name.startswith("limited/"):
                value = b"\x01" * len(value)  # takes it, and keeps something else
            self.settings[name] = value.hex()
            say("setting", name=name, value=value.hex())
            return {}
        if command == 2 and op == 2:
            say("commit")
            return {}
        if command == 3 and op == 2:
            self.flash.state["settings"] = dict(self.settings)
            self.flash.save()
            say("save")
            return {}
        raise Refused(8)

    def basic_group(self, command, op, body, version):
        if command == 0 and op == 2 and self.zephyr:
            self.flash.state["settings"] = {}  # what runs keeps its values until it restarts
            self.flash.save()
            say("erase-storage")
            return {}
        raise Refused(8)

    def vendor_group(self, command, op, body, version):
        if command == 1 and op == 0:
            return {"sum": sum(v for v in body.values() if isinstance(v, int)), "got": body}
        if command == 2 and op == 2:
            self.flash.state["count"] += 1
            self.flash.save()
            say("counted", count=self.flash.state["count"])
            return {"count": self.flash.state["count"], "raw": b"\x00\xff"}
        if command == 3:
            raise Refused(1, 64, 77)
        if command == 4:
            deep = 1
            for _ in range(40):
                deep = [deep]
            return {"deep": deep}
        raise Refused(8)

    # -- requests --

    def answer(self, packet):
        first, _, length, group, seq, command = struct.unpack(">BBHHBB", packet[:8])
        op, version = first & 7, first >> 3 & 3
        if op not in (0, 2) or length != len(packet) - 8:
            return
        try:
            body = cbor2.loads(packet[8:])
        except Exception:  # pylint: disable=broad-except
            return
        if version > self.args.protocol:
            reply = {"rc": 13}
        else:
            reply = self.handle(group, command, op, body, version)
        say("request", group=group, command=command, op=op, size=len(packet))
        data = cbor2.dumps(reply)
        if self.faults["huge"]:
            data = b"\xa1\x61r\x9b\xff\xff\xff\xff\xff\xff\xff\xff" + data
        head = struct.pack(">BBHHBB", first | 1, 0, len(data), group, seq, command)
        self.send(head + data)

    def handle(self, group, command, op, body, version):
        groups = {0: self.os_group, 1: self.image_group, 3: self.settings_group,
                  63: self.basic_group, 64: self.vendor_group}
        try:
            if group not in groups:
                raise Refused(8)
            return groups[group](command, op, body, version)
        except Refused as refused:
            if self.zephyr and version == 1 and refused.group is not None:
                return {"err": {"group": refused.group, "rc": refused.err}}
            return {"rc": refused.rc}

    def send(self, packet):
        self.answers += 1
        out = frame(packet)
        if self.faults["log"] and self.answers % self.faults["log"] == 0:
            out = b"[00:00:01.000,000] <inf> app: still here\r\n" + out
        if self.faults["wrong_seq"]:
            old = bytearray(packet)
            old[6] = (old[6] - 1) & 0xFF
            out = frame(bytes(old)) + out
        if self.faults["garbage"]:
            noise = self.line.random
            out = bytes(noise.randrange(256) for _ in range(80)) + b"\n\x06\x09AAAA\n"
        if self.faults["silent_answers"]:
            self.faults["silent_answers"] -= 1
            return
        if self.faults["slow"]:
            self.later(self.faults["slow"], lambda: self.line.write(out))
        else:
            self.line.write(out)

    def receive(self):
        data = self.line.read()
        if not self.up:
            return
        for packet in self.receiver.feed(data):
            if self.faults["hang"]:
                continue
            if self.faults["lost_requests"]:
                self.faults["lost_requests"] -= 1
                continue
            self.answer(packet)

    # -- the loop --

    def command(self, text):
        verb, *rest = text.split(maxsplit=2)
        if verb == "set":
            self.set_fault(rest[0], json.loads(rest[1]))
        elif verb == "unplug":
            self.line.unplug()
        elif verb == "plug":
            self.line.plug()
            say("plugged", pty=self.line.name)
        elif verb == "reset":
            self.go_down()
        elif verb == "quit":
            self.line.unplug()
            raise SystemExit(0)
        say("done", command=text)

    def wait(self):
        until = min((when for when, _ in self.at), default=time.monotonic() + 3600)
        if self.faults["chatter"]:
            until = min(until, time.monotonic() + 0.01)
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
            if self.faults["chatter"] and self.up and self.line.master >= 0:
                self.line.write(b"<dbg> sensor: nothing has changed, as before\r\n" * 20)
            now = time.monotonic()
            due = [what for when, what in self.at if when <= now]
            self.at = [(when, what) for when, what in self.at if when > now]
            for what in due:
                what()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="be the device")
    run.add_argument("--state", required=True, help="folder of the flash")
    run.add_argument("--link", help="a stable name for the pty")
    run.add_argument("--kind", choices=("zephyr", "mcuboot"), default="zephyr")
    run.add_argument("--image", help="what is in slot 0 of a new device")
    run.add_argument("--buf-size", type=int, default=1024)
    run.add_argument("--slot-size", type=int, default=262144)
    run.add_argument("--no-params", action="store_true")
    run.add_argument("--no-slot-info", action="store_true")
    run.add_argument("--primary", action="store_true", help="mcuboot: uploads go to slot 0")
    run.add_argument("--protocol", type=int, default=1, help="newest version bits it takes")
    run.add_argument("--board", default="frdm_k64f")
    run.add_argument("--boot-time", type=float, default=0.3)
    run.add_argument("--reset-delay", type=float, default=0.25)
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--setting", action="append", default=[], help="NAME=HEX, a factory value")
    run.add_argument("--fault", action="append", default=[], help="NAME=JSON")
    image = verbs.add_parser("make-image", help="write an image")
    image.add_argument("--version", required=True)
    image.add_argument("--size", type=int, required=True)
    image.add_argument("--seed", default="0")
    image.add_argument("--bad-signature", action="store_true")
    image.add_argument("--protected", action="store_true", help="with protected TLVs")
    image.add_argument("out")
    args = parser.parse_args()
    if args.verb == "make-image":
        with open(args.out, "wb") as f:
            f.write(make_image(args.version, args.size, args.seed, args.bad_signature,
                               args.protected))
        return
    Device(args).run()


if __name__ == "__main__":
    main()
