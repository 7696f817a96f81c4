#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows southbridge at work on this machine, from a fresh checkout: builds it, starts a private
# Mosquitto as the clouds' broker, devices on three serial lines (ptys) and the daemon, then plays
# four clouds: each updates one device, the others hear of it; one reboots and resets its own. Ends
# by itself and leaves nothing running, but with --keep.
set -euo pipefail
cd "$(dirname "$0")/.."
source_dir=$PWD

keep=
case ${1-} in
    --keep) keep=yes ;;
    '') ;;
    *) echo "usage: packaging/quickstart.sh [--keep]" >&2; exit 2 ;;
esac

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
die() { echo "quickstart: $*" >&2; exit 1; }

work=$(mktemp -d /tmp/southbridge-quickstart.XXXXXX)
pids=()
cleanup() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        echo
        for log in "$work"/*.log; do
            [ -s "$log" ] && { echo "-- the end of ${log##*/}"; tail -n 15 "$log"; }
        done
    fi
    # The daemon goes first: it says goodbye to the others.
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null || true
        wait "${pids[i]}" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start() { # start NAME COMMAND...: in the background, its output in NAME.log
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 <&0 &
    pids+=($!)
}

simulate() { # simulate NAME PROGRAM ARGUMENTS...: a device of tests/simulators on the pty NAME
    local name=$1 program=$source_dir/tests/simulators/$2 command
    shift 2
    mkfifo "$work/$name.in" # a device ends with its standard input: it stays open here
    exec {command}<>"$work/$name.in"
    start "$name" /usr/bin/python3 "$program" run --state "$work/$name.flash" \
          --link "$work/tty-$name" "$@" <"$work/$name.in"
    wait_for "the device $name" 10 test -e "$work/tty-$name"
}

image() { # image PROGRAM VERSION SIZE FILE: what a device of that program can run
    /usr/bin/python3 "$source_dir/tests/simulators/$1" make-image --version "$2" --size "$3" "$4" \
        >/dev/null
}

wait_for() { # wait_for WHAT SECONDS COMMAND...: until the command succeeds
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || die "$what did not come up"
        sleep 0.05
    done
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

step "Packages and build"
packaging/install-missing.sh build run
build=${SB_QUICKSTART_BUILD:-build}
cmake -S . -B "$build" -G Ninja -DSB_TESTS=OFF >"$work/cmake.log" 2>&1 || die "cmake failed"
ninja -C "$build" --quiet || die "the build failed"
programs=$source_dir/$build/bridge/programs
[ "${build:0:1}" = / ] && programs=$build/bridge/programs
printf '%s, %s\n' "$("$programs/southbridge" --version)" "$(du -h "$programs/southbridge" | cut -f1) with debug information"

step "A broker, devices on three serial lines, images to install, four clouds"
broker=$(free_port) inner=$(free_port) files=$(free_port)
token=$(head -c 18 /dev/urandom | base64 | tr '+/' 'xy')
keep_secret() { install -m 600 /dev/null "$work/$1"; printf '%s\n' "$2" >"$work/$1"; }
keep_secret secret "$token" # one for all: four clouds, and the panel's login
for device in pump-1 valve-1 valve-2 panel-1; do
    keep_secret "azure-$device.key" "$(printf %s "$token" | base64)"
done
mosquitto_passwd -b -c "$work/passwords" use-token-auth "$token"
mosquitto_passwd -b "$work/passwords" platform "$token"
chmod 644 "$work/passwords"
# The gateway logs in at IBM's broker itself; the other clouds have doors that check its login.
cat >"$work/mosquitto.conf" <<CONF
per_listener_settings true
set_tcp_nodelay true
log_type all
user root
listener $broker 127.0.0.1
password_file $work/passwords
listener $inner 127.0.0.1
allow_anonymous true
CONF
start broker mosquitto -c "$work/mosquitto.conf"
wait_for "mosquitto" 10 listens "$broker"
wait_for "mosquitto" 10 listens "$inner"

mkdir -p "$work/www" "$work/devices.d" "$work/mappings/devices"
image smp_device.py 1.0.0 20000 "$work/factory.bin"
image smp_device.py 1.1.0 60000 "$work/www/pump-1.1.0.bin"
image modbus_device.py 2.0.0 4000 "$work/www/valve-2.0.0.bin"
image console_device.py 3.1.0 8000 "$work/www/panel-3.1.0.bin"
start files /usr/bin/python3 -m http.server --bind 127.0.0.1 --directory "$work/www" "$files"
simulate pump smp_device.py --image "$work/factory.bin" --boot-time 1
simulate field modbus_device.py --device '{"unit": 1, "version": "1.0.0"}' \
         --device '{"unit": 2, "version": "1.0.0"}'
simulate panel console_device.py --version 3.0.0 --boot-time 1 --password "$token"
wait_for "the file server" 10 listens "$files"
# The panel's console is nobody's product: its type is a file that only this run has.
{ printf 'name: panel\ndriver: dialog\n'
  sed "s#^dialog:#&\n  secrets: { password: 'file:$work/secret' }#" \
      "$source_dir/tests/simulators/console_board.yaml"; } >"$work/mappings/devices/panel.yaml"
cat >"$work/plan" <<PLAN
ibm update pump-1 1.1.0 pump-1.1.0.bin
ibm reboot pump-1
ibm reset pump-1
azure update valve-1 2.0.0 valve-2.0.0.bin
huawei update valve-2 2.0.0 valve-2.0.0.bin
alibaba update panel-1 3.1.0 panel-3.1.0.bin
PLAN
mkfifo "$work/orders"
exec {orders}<>"$work/orders"
/usr/bin/python3 "$source_dir/tests/simulators/cloud_show.py" --ibm-broker "$broker" \
    --broker "$inner" --secret-file "$work/secret" --doors "$work/doors" --images "$work/www" \
    --url "http://127.0.0.1:$files" "$work/plan" \
    pump-1=pump valve-1=valve valve-2=valve panel-1=panel <"$work/orders" 2>"$work/clouds.log" &
clouds=$!
pids+=("$clouds")
wait_for "the clouds" 10 test -s "$work/doors"
door() { sed -n "s/^$1=//p" "$work/doors"; } # door CLOUD: where the gateway connects to
cat <<TXT
pump-1            MCUboot and SMP, on $(readlink "$work/tty-pump")
valve-1, valve-2  Modbus RTU, both on $(readlink "$work/tty-field")
panel-1           a serial console with a login and YMODEM, on $(readlink "$work/tty-panel")
TXT

step "southbridge"
cat >"$work/southbridge.yaml" <<CONF
state: $work/state
mappings: [ $source_dir/mappings, $work/mappings ]
devices: $work/devices.d
control: { socket: $work/control }
buses:
  uart1: { port: $work/tty-pump, baud: 115200 }
  field: { port: $work/tty-field, baud: 19200 }
  uart2: { port: $work/tty-panel, baud: 115200 }
links:
  ibm:
    dialect: ibm
    uri: $(door ibm)
    org: abc123
    type: gateway
    id: gw1
    token: file:$work/secret
    uri_rules: { schemes: http, networks: 127.0.0.0/8 }
  azure:
    dialect: azure
    uri: $(door azure)
    hub: hub.example
    key: file:$work/azure-{name}.key
    uri_rules: { schemes: http, networks: 127.0.0.0/8 }
  huawei:
    dialect: huawei
    uri: $(door huawei)
    id: prod_gw1
    secret: file:$work/secret
    uri_rules: { schemes: http, networks: 127.0.0.0/8 }
  alibaba:
    dialect: alibaba
    uri: $(door alibaba)
    product_key: pk0
    device_name: gw-1
    secret: file:$work/secret
    device_product: pk1
    uri_rules: { schemes: http, networks: 127.0.0.0/8 }
CONF
cat >"$work/devices.d/plant.yaml" <<CONF
devices:
  - { id: pump-1, type: zephyr-smp, bus: uart1, names: { ibm: pump/pump-1 } }
  - { id: valve-1, type: modbus-bootloader, bus: field, address: { unit: 1 },
      names: { ibm: valve/valve-1 } }
  - { id: valve-2, type: modbus-bootloader, bus: field, address: { unit: 2 },
      names: { ibm: valve/valve-2 } }
  - { id: panel-1, type: panel, bus: uart2, names: { ibm: panel/panel-1 } }
CONF
"$programs/southbridge" --config "$work/southbridge.yaml" --check
ctl() { "$programs/southbridgectl" --socket "$work/control" "$@"; }
open_job() { ctl job list --json 2>/dev/null | grep -o '"id": *[0-9]*' | tail -n 1 | grep -o '[0-9]*'; }
watch_job() { # watch_job ID: its course, a line for each change
    ctl job watch "$1" 2>/dev/null </dev/null | while read -r date time device rest; do
        [ "${date:0:2}" != 20 ] || printf '%s %sgateway  ... %-8s %s%s\n' \
            "$time" "$dim" "$device" "$rest" "$plain"
    done
}

begun=$SECONDS
start southbridge "$programs/southbridge" --config "$work/southbridge.yaml"
last=0
while [ -e "$work/plan" ]; do
    kill -0 "$clouds" 2>/dev/null || die "the clouds saw a failure"
    job=$(open_job || true)
    if [ -n "$job" ] && [ "$job" -gt "$last" ]; then
        last=$job
        watch_job "$job" || true
    fi
    sleep 0.02
done

step "What the gateway knows"
ctl device list
ctl job list --all
ctl audit --verify

step "The last of these jobs in each cloud's words"
ctl job show "$(ctl job list --all --json | grep -o '"id": *[0-9]*' | grep -o '[0-9]*' | sort -n | tail -n 1)" |
    sed -n '/^In each dialect/,/^$/{//!p}'

step "Done in $((SECONDS - begun)) s"
echo "Four clouds updated devices that have only a serial line, and each was told in its own tongue."
if [ -n "$keep" ]; then
    cat <<TXT
Everything stays up. In another terminal:
  export SOUTHBRIDGE_SOCKET=$work/control
  $programs/southbridgectl device list
  $programs/southbridgectl job create reboot pump-1 --watch
  echo azure reboot valve-1 >$work/orders     # any cloud, any device: shown here
Ctrl-C ends it.
TXT
    wait "${pids[@]}" || true
fi
