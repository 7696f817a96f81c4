# SPDX-License-Identifier: Apache-2.0
"""System tests: fixtures.py has what they use, ibm_world.py the worlds of the IBM tests,
kill_game.py those in which something dies, quick.py what tests without a cloud use."""
# pylint: disable=wildcard-import,unused-wildcard-import,unused-import
from fixtures import *  # noqa: F401,F403
from ibm_world import empty_world, small_world, world  # noqa: F401
from kill_game import play, quick_device, quick_world  # noqa: F401
from quick import bench, no_broker  # noqa: F401
