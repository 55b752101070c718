#!/bin/sh
# Play a deployed model: fit and push its baseline, then send a generated log, a day of it every five seconds.
set -eu
here=$(dirname "$0")
config=${1:-/etc/mlhealth/mlhealth.yaml}
work=${2:-/var/lib/mlhealth}
bootstrap=${MLHEALTH_KAFKA:-kafka:9092}
cd "$work"
python "$here/prepare.py" --days "${DEMO_DAYS:-200}" --rows-per-day "${DEMO_ROWS_PER_DAY:-500}"
mlhealth baseline fit reference.parquet --schema model.yaml --out baseline
mlhealth baseline push baseline --config "$config"
mlhealth replay log.parquet --baseline baseline --bootstrap "$bootstrap" --topic inference-log --speed "${DEMO_SPEED:-17280}"
