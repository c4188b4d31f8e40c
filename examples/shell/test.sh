#!/bin/sh
# Tests of a script that sends messages, each in a world of its own in one sandbox. Needs
# the program: mesibo-grpc of the PATH, or the one that the variable MESIBO_GRPC names.
set -eu
dir=$(dirname "$0")
# shellcheck source=SCRIPTDIR/mesibo.sh
. "$dir/mesibo.sh"
program=${MESIBO_GRPC:-mesibo-grpc}

# On ports that the system chooses. It prints where it serves, and what to try first.
greeting=$(mktemp)
MESIBO_GRPC_METRICS_LISTEN=none "$program" sandbox --listen 127.0.0.1:0 \
    --emulator-listen 127.0.0.1:0 >"$greeting" 2>/dev/null &
sandbox=$!
trap 'kill "$sandbox"; wait "$sandbox" || :; rm -f "$greeting"' EXIT
until grep -q api.php "$greeting"; do
    kill -0 "$sandbox"
    sleep 0.1
done
MESIBO_GRPC_ADDRESS=http://$(sed -n 's/.*gRPC on \([^,]*\),.*/\1/p' "$greeting" | head -n 1)
export MESIBO_GRPC_ADDRESS
page=$(sed -n 's|.*\(http://[^ ]*/\)api\.php.*|\1|p' "$greeting" | head -n 1)
until "$program" health >/dev/null 2>&1; do
    kill -0 "$sandbox"
    sleep 0.1
done

# world TEST: a world of its own for a test: the metadata mesibo-app names it.
world() {
    worlds=$((${worlds:-0} + 1))
    export MESIBO_GRPC_APP="test-$worlds"
    for address in alice bob; do
        mesibo CreateUser "{\"address\": \"$address\", \"appId\": \"demo\"}" >/dev/null
    done
    echo "$1"
}

# ask PATH [OPTION]...: asks the API that the page of the sandbox uses.
ask() {
    path=$1
    shift
    curl --silent --show-error --fail "$@" "${page}sandbox/$path?world=$MESIBO_GRPC_APP"
}

# is WHAT EXPECTED: fails the tests if they differ.
is() {
    [ "$1" = "$2" ] || {
        printf 'FAILED: expected %s, got %s\n' "$2" "$1"
        exit 1
    }
}

hi='{"fromAddress": "alice", "toAddress": "bob", "message": "Hi"}'

world "a message with an id is sent once"
with_id=$(printf '%s' "$hi" | jq -c --arg id "$(mesibo_id)" '.requestId = $id')
first=$(mesibo SendMessage "$with_id")
is "$(mesibo SendMessage "$with_id")" "$first"
is "$(ask messages | jq -c '[.messages[].msg]')" '["Hi"]'

world "a message that is not taken up is sent again, and arrives once"
ask faults --request POST --data '{"op": "message", "status": 503, "times": 2}' >/dev/null
mesibo SendMessage "$hi" >/dev/null
is "$(ask messages | jq '.messages | length')" 1

world "what is safe is repeated, and what is not is not"
ask faults --request POST --data '{"op": "user*", "status": 503}' >/dev/null
MESIBO_ATTEMPTS=2
status=0
said=$(mesibo ListUsers '{}' 2>&1) || status=$?
is "$status" 78
is "$said" 'UNAVAILABLE: UPSTREAM_HTTP_STATUS from mesibo-grpc'
ask requests --request DELETE >/dev/null
mesibo CreateUser '{"address": "carol", "appId": "demo"}' >/dev/null 2>&1 || :
is "$(ask requests | jq '.requests | length')" 1

world "the same calls by mesibo-grpc call"
is "$("$program" call SendMessage "$hi" | jq -c 'keys')" '["messageId"]'
status=0
said=$("$program" call SendMessage '{"fromAddress": "nobody", "toAddress": "x", "message": "Hi"}' 2>&1) ||
    status=$?
is "$status" 69
case $said in *'Mesibo refuses it, NOUSER'*'Safe to repeat: yes'*) ;; *) is "$said" 'an explanation' ;; esac
status=0
mesibo SendMessage '{"fromAddress": "nobody", "toAddress": "x", "message": "Hi"}' 2>/dev/null || status=$?
is "$status" 69
