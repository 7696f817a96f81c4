# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the broker at random instants of firmware jobs and reboots: kill_game.py says how."""


def test_kill_of_the_broker(play):
    play("broker", 12, 3)
