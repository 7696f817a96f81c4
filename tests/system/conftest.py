# SPDX-License-Identifier: Apache-2.0
"""System tests: fixtures.py has what they use."""
from fixtures import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import
