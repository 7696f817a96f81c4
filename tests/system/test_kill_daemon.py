# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon at random instants of firmware jobs and reboots: kill_game.py says how."""


def test_kill_of_the_daemon(play):
    play("daemon", 42, 8, twice_every=5)
