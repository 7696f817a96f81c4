#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install-missing.sh GROUP...: installs what is missing of the Debian packages of the groups
# `build`, `run` (quickstart's broker and scripts) and `test`. Uses sudo when it is not root.
set -euo pipefail

build=(cmake ninja-build gcc libc6-dev pkg-config libwebsockets-dev libpaho-mqtt-dev libjansson-dev
       libyaml-dev libsqlite3-dev libssl-dev libcap-dev libcurl4-openssl-dev libcbor-dev
       libpcre2-dev)
run=(lrzsz mosquitto python3 python3-paho-mqtt python3-cbor2 openssl ca-certificates tzdata)
test=(libcmocka-dev libmosquitto-dev mosquitto-clients python3-pytest procps scdoc
      libmodbus-dev mbpoll python3-pymodbus python3-serial-asyncio
      qemu-system-arm u-boot-qemu lrzsz)

wanted=()
for group in "$@"; do
    case $group in
        build) wanted+=("${build[@]}") ;;
        run) wanted+=("${run[@]}") ;;
        test) wanted+=("${test[@]}") ;;
        *) echo "install-missing.sh: there is no group '$group'" >&2; exit 2 ;;
    esac
done
# Any npm will do; Debian's own conflicts with other sources' nodejs.
if [[ " $* " == *" test "* ]] && ! command -v npm >/dev/null; then
    wanted+=(nodejs npm)
fi

missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "these packages are missing, and neither root nor sudo is there to install them:" >&2
        echo "  apt-get install ${missing[*]}" >&2
        exit 1
    }
    as_root=(sudo)
fi
echo "installing: ${missing[*]}"
# Keeps the package's own broker from starting: the scripts start a private one.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    made_policy=yes
fi
cleanup() { [ -z "$made_policy" ] || "${as_root[@]}" rm -f "$policy"; }
trap cleanup EXIT
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
