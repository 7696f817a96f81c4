#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh DIR: the vendors' packages of package-lock.json in DIR/node_modules, once per lock.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
mkdir -p "$dir"
if [ -d "$dir/node_modules/ibmiotf" ] && cmp -s "$here/package-lock.json" "$dir/installed.json"; then
    exit 0
fi
rm -f "$dir/installed.json"
cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$dir/"
cd "$dir"
npm ci --ignore-scripts --no-audit --no-fund
cp package-lock.json installed.json
