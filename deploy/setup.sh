#!/bin/sh
# Before the first start: make the tables, and a token that may only read, for Prometheus. Running it again changes nothing.
set -eu
config=${1:-/etc/mlhealth/mlhealth.yaml}
token=${2:-/run/mlhealth-tokens/prometheus}
if [ -s "$token" ]; then
    echo "setup: the token of Prometheus is there already"
    exit 0
fi
umask 022
mlhealth token create prometheus --scope read --config "$config" >"$token.part"
mv "$token.part" "$token"
echo "setup: tables made, and a token for Prometheus in $token"
