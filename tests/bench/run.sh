#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds without sanitizers and runs the benchmark; arguments go to it: --quick, --json, --only.
set -euo pipefail
cd "$(dirname "$0")/../.."
packaging/install-missing.sh build run test

build=${SB_BENCH_BUILD:-build-bench}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >"$build.log" 2>&1 ||
    { cat "$build.log"; exit 1; }
rm -f "$build.log"
ninja -C "$build" --quiet southbridge southbridgectl southbridge-fetch bench_programs
exec /usr/bin/python3 tests/bench/bench.py --build "$build" "$@"
