#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds with ASan and UBSan, runs every test through ctest.
# Arguments go to ctest: tests/run.sh -L unit -R machine
set -euo pipefail
cd "$(dirname "$0")/.."
packaging/install-missing.sh build run test

build=${SB_TEST_BUILD:-build-test}
# Light optimization and line numbers: built in half of the time, and the tests take as long.
# Gold links a hundred test programs in half of the time, where there is one.
linker=
command -v ld.gold >/dev/null && linker=-fuse-ld=gold
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="-O1 -g1" \
      -DCMAKE_EXE_LINKER_FLAGS="$linker" -DSB_WERROR=ON \
      -DSB_SANITIZE=address,undefined >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
rm -f "$build.log"
ninja -C "$build" --quiet
# Memory that was freed is kept from use for a while, not for a whole run: fresh pages are dear.
export ASAN_OPTIONS=${ASAN_OPTIONS-quarantine_size_mb=8:malloc_context_size=8}
# Most tests wait most of the time: for devices to restart, for silence to become a fault.
exec ctest --test-dir "$build" --output-on-failure --no-tests=error -j "$(($(nproc) * 4))" "$@"
