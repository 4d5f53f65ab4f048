#!/bin/sh
# Starts mosquitto in its container: sets the services' passwords from the environment, keeps the devices', puts the ACL
# where only mosquitto reads it, and makes a user for the health check.
#
# MQTT_GATEWAY_PASSWORD    needed
# MQTT_SIMULATOR_PASSWORD  empty: there is no simulator user
# MQTT_TLS_DIR             empty: no TLS; else where server.crt, server.key and ca.crt are
# MQTT_TLS_CLIENTS         `required`: clients need a certificate of ca.crt's authority, too
set -eu
umask 077
export LC_ALL=C
PATH=$PATH:/usr/sbin

config=${MOSQUITTO_CONFIG_DIR:-/mosquitto/config}
data=${MOSQUITTO_DATA_DIR:-/mosquitto/data}
health=${MOSQUITTO_HEALTH_DIR:-/tmp/health}

fail() {
    printf 'entrypoint: %s\n' "$*" >&2
    exit 1
}

# The passwords also stand in a URL (JOULEGATE_MQTT_URL): characters that would need escaping there are refused.
check_password() {
    case $2 in
        *[!A-Za-z0-9._~-]*) fail "$1 may hold only A-Z a-z 0-9 . _ ~ - (make one with: openssl rand -hex 24)" ;;
    esac
    [ "${#2}" -ge 16 ] || fail "$1 must have at least 16 characters (make one with: openssl rand -hex 24)"
}

check_password MQTT_GATEWAY_PASSWORD "${MQTT_GATEWAY_PASSWORD:-}"
[ -z "${MQTT_SIMULATOR_PASSWORD:-}" ] || check_password MQTT_SIMULATOR_PASSWORD "$MQTT_SIMULATOR_PASSWORD"
health_password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

sh "$config/set-passwords" "$data/passwd" <<LINES
gateway:$MQTT_GATEWAY_PASSWORD
simulator:${MQTT_SIMULATOR_PASSWORD:-}
healthcheck:$health_password
LINES
cat "$config/acl" >"$data/acl"

# mosquitto_sub reads its options from here (XDG_CONFIG_HOME), so that the password is on no command line
port=$(awk '$1 == "listener" { print $2; exit }' "$config/mosquitto.conf")
mkdir -p "$health"
printf '%s\n' "-h 127.0.0.1" "-p $port" "-u healthcheck" "-P $health_password" >"$health/mosquitto_sub"

conf=$config/mosquitto.conf
if [ -n "${MQTT_TLS_DIR:-}" ]; then
    parts=tls.conf
    case ${MQTT_TLS_CLIENTS:-} in
        required) parts="$parts tls-mutual.conf" ;;
        '' | optional) ;;
        *) fail "MQTT_TLS_CLIENTS is required or optional, not $MQTT_TLS_CLIENTS" ;;
    esac
    for file in server.crt server.key ca.crt; do
        [ -r "$MQTT_TLS_DIR/$file" ] || fail "$MQTT_TLS_DIR/$file cannot be read by user $(id -u): make it with mosquitto/certificates, and chown it (docs/tls.md)"
    done
    (cd "$config" && cat mosquitto.conf $parts) >"$data/mosquitto.conf"
    conf=$data/mosquitto.conf
fi

unset MQTT_GATEWAY_PASSWORD MQTT_SIMULATOR_PASSWORD health_password
exec mosquitto -c "$conf"
