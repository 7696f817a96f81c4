# SPDX-License-Identifier: Apache-2.0
"""Power cuts of the device at random instants of firmware jobs and reboots: kill_game.py says how."""


def test_power_cut_of_the_device(play):
    play("device", 12, 3)
