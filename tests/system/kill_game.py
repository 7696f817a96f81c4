# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random instants of a firmware job, for the tests test_kill_*.py: whatever dies, each
job ends right, once, with nothing lost and nothing told that did not happen.

The instants come from a seed that is printed; SB_SEED gives it. They are spread over the whole job,
whose undisturbed duration is measured first. SB_KILLS scales their number, in percent.
"""
import collections
import concurrent.futures
import functools
import itertools
import os
import random
import time

import pytest
from daemon import SmpDevice, device_spec
from firmware_course import Course, Kill
from harness import SOURCE, wait_until
from ibm_world import DEVICE, World

SEED = int(os.environ.get("SB_SEED") or random.SystemRandom().randrange(10 ** 9))
SCALE = int(os.environ.get("SB_KILLS") or 100)
POWER = ("--boot-time", 0.25, "--reset-delay", 0.05, "--fault", "slow=0.007")
TYPE = """# SPDX-License-Identifier: Apache-2.0
# A quick device: whatever it does takes a fraction of a second.
name: pump-quick
driver: smp
verify: hash
confirm: auto
image_magic: 3db8f396
stall: 30s
restart: 20s
smp: { timeout: 1s, tries: 5, first_timeout: 5s, stage: gateway, method: test, health: 200ms }
"""


@pytest.fixture
def quick_device(workspace):
    device = SmpDevice(workspace).start(*POWER)
    yield device
    device.stop()


@pytest.fixture
def quick_world(workspace, platform, artifacts, quick_device, make_southbridge):
    """A world whose jobs take little time."""
    folder = workspace / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "pump-quick.yaml").write_text(TYPE)
    world = World(workspace, platform, artifacts, quick_device, make_southbridge)
    return world.start(devices=[device_spec(kind="pump-quick")],
                      mappings=[SOURCE / "mappings", workspace / "mappings"])


class Game:
    """Course after course in one world, and an instant to kill at in each."""

    def __init__(self, world, victim, kill, start, prepare=None):
        """prepare: what a course begins with."""
        self.world, self.victim, self._kill, self._start = world, victim, kill, start
        self._prepare = prepare or (lambda: None)
        self.rng = random.Random(f"{SEED}/{victim}")
        self._versions = (f"{number}.0.0" for number in itertools.count(2))
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self.where, self.disturbed = collections.Counter(), []
        self.seconds = []  # of each course

    def _course(self, update, kills=0):
        return Course(self.world, next(self._versions) if update else None, kills)

    def _undisturbed(self, update):
        """(seconds, messages) of a course by itself."""
        course = self._course(update)
        self._finish(course, self._pool.submit(course.run))
        return course.seconds, len(self.world.platform.since(course.mark, DEVICE))

    def _finish(self, course, running):
        course.check(running.exception(timeout=300))
        self.disturbed += [str(outcome) for outcome in course.outcomes if not outcome.ok]
        self.seconds.append(round(course.seconds, 1))

    def _instants(self, update, count):
        """Waits, in random order: most end at an instant of the course's duration, one in each of
        equal parts; some shortly after a message, where things are written and told."""
        measured = [self._undisturbed(update) for _ in range(2)]
        seconds, messages = map(min, zip(*measured))
        at_messages = count * 3 // 10
        at_times = count - at_messages
        parts = [(part + self.rng.random()) * seconds / at_times for part in range(at_times)]
        waits = [functools.partial(until, seconds=instant) for instant in parts]
        waits += [functools.partial(after_message, number=self.rng.randrange(messages),
                                    pause=self.rng.uniform(0, 0.02)) for _ in range(at_messages)]
        self.rng.shuffle(waits)
        return waits

    def _disturb(self, update, *waits):
        """A course in which the victim is killed after each of the waits."""
        self._prepare()
        course = self._course(update, len(waits))
        running = self._pool.submit(course.run)
        for wait in waits:
            wait(course, running)
            late = running.done()
            self._kill()
            kill = Kill(self.victim, time.monotonic(), "its end" if late else course.where())
            course.kills.append(kill)
            self.where[kill.where] += 1
            time.sleep(self.rng.uniform(0, 0.3))
            self._start()
        self._finish(course, running)

    def play(self, updates, reboots, twice_every=0):
        """So many jobs of each kind with a kill; in each so-manieth there is another one while the
        first is recovered from."""
        for update, count in ((True, updates), (False, reboots)):
            for number, wait in enumerate(self._instants(update, count), 1):
                again = twice_every and number % twice_every == 0
                later = functools.partial(more, seconds=self.rng.uniform(0.05, 0.6))
                self._disturb(update, wait, *([later] if again else []))
        self._nothing_open()

    def _nothing_open(self):
        southbridge = self.world.southbridge
        assert southbridge.ask("job list") == []
        assert southbridge.ctl("audit", "--verify").json["whole"] is True
        assert southbridge.status()["store"]["failures"] == 0

    def __str__(self):
        where = ", ".join(f"{word} {count}" for word, count in self.where.most_common())
        ends = collections.Counter(text.rsplit(" (", 1)[0] for text in self.disturbed)
        return (f"{sum(self.where.values())} kills of the {self.victim} after: {where}\n"
                f"retried: {dict(ends)}\nseconds: {self.seconds}")


def until(course, running, seconds):
    """So long after the course's beginning."""
    concurrent.futures.wait([running], course.started + seconds - time.monotonic())


def after_message(course, running, number, pause):
    """A moment after the course's so-manieth message."""
    platform = course.world.platform
    wait_until(lambda: running.done() or len(platform.since(course.mark, DEVICE)) > number, 60,
               "a message", interval=0.001)
    time.sleep(pause)


def more(_course, running, seconds):
    concurrent.futures.wait([running], seconds)


@pytest.fixture
def play(quick_world, broker, capsys):
    southbridge, device = quick_world.southbridge, quick_world.device

    def fresh():
        """The daemon tries ever more rarely while connections do not last: begin anew."""
        managed = len(quick_world.record.manages)
        southbridge.restart()
        quick_world.platform.wait_managed(DEVICE, 30, managed + 1)

    victims = {"daemon": (southbridge.kill9, lambda: southbridge.start(ready=False)),
               "device": (device.kill9, lambda: device.start(*POWER)),
               "broker": (broker.kill9, broker.start, fresh)}

    def play(victim, updates, reboots, **options):
        game = Game(quick_world, victim, *victims[victim])
        with capsys.disabled():
            print(f"\n{victim}: SB_SEED={SEED}", flush=True)
        game.play(*(max(1, count * SCALE // 100) for count in (updates, reboots)), **options)
        with capsys.disabled():
            print(game, flush=True)
    return play
