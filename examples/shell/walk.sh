#!/bin/sh
# Every RPC of users, groups and messages, from a shell, by the functions of mesibo.sh.
#
# Usage: walk.sh [URL]; the environment variable MESIBO_GRPC_KEY has the caller's key,
# where the server wants one.
set -eu
dir=$(dirname "$0")
# shellcheck source=SCRIPTDIR/mesibo.sh
. "$dir/mesibo.sh"

server=${1:-http://127.0.0.1:50051}
case $server in *://*) ;; *) server=http://$server ;; esac
export MESIBO_GRPC_ADDRESS="$server"

ALICE='alice 👩‍🚀 &=+% shell'
BOB='בוב 🦀 shell'
# In JSON, as the request has it.
TEXT='"Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line"'

# answer RPC JSON [NAME VALUE]...: makes a call whose request has these values besides. A
# failure is explained, and ends the walk.
answer() {
    rpc=$1 request=$2
    shift 2
    while [ $# -gt 0 ]; do
        # jq makes any text a value of JSON.
        request=$(printf '%s' "$request" | jq -c --arg name "$1" --arg value "$2" '.[$name] = $value')
        shift 2
    done
    answer=$(mesibo "$rpc" "$request" 2>&1) || {
        printf '%s\n' "$answer"
        exit 1
    }
}

# value FILTER: a value of the last answer.
value() {
    printf '%s' "$answer" | jq -r "$1"
}

answer CreateUser '{"appId": "demo", "tokenExpiry": "3600s"}' address "$ALICE"
alice=$(value .uid)
answer CreateUser '{"appId": "demo"}' address "$BOB"
bob=$(value .uid)
echo "created $ALICE and $BOB"

answer CreateGroup '{"name": "team"}'
gid=$(value .gid)
members=$(jq -cn --arg alice "$ALICE" --arg bob "$BOB" \
    '{members: [$alice, $bob], action: "ACTION_ADD", permissions: {canSend: true}}')
answer EditGroupMembers "$members" gid "$gid"
answer ListGroupMembers '{}' gid "$gid"
echo "the group has $(value '[.members[].address] | join(" and ")')"

# What has a request_id is done once, however often it is repeated.
for recipient in to_address gid; do
    case $recipient in to_address) to=$BOB ;; gid) to=$gid ;; esac
    answer SendMessage "{\"message\": $TEXT}" from_address "$ALICE" "$recipient" "$to"
    # A field that may be absent is asked for before it is read.
    echo "sent a message to $recipient, $(value 'if .messageId then "with" else "without" end') an id"
done

answer EditUser '{"flags": 1}' uid "$alice"
answer EditGroup '{"name": "crew"}' gid "$gid"
echo 'edited the user and the group'

answer RegenerateUserToken '{"appId": "demo"}' uid "$bob"
answer DeleteUserToken '{"appId": "demo"}' uid "$bob"
answer ListUsers '{"addressPattern": "* shell"}'
value '.users[] | "found \(.address), \(if .accessToken then "with" else "without" end) a token"'

# A mistake: 90 seconds are no whole minutes, and there is no address at all.
mesibo CreateUser '{"appId": "demo", "tokenExpiry": "90s"}' 2>&1 || :

for uid in "$alice" "$bob"; do
    answer DeleteUser '{}' uid "$uid"
done
answer DeleteGroup '{}' gid "$gid"
echo 'deleted the users and the group'

# What is gone already is often as good as deleted: the status tells.
status=0
mesibo DeleteUser "{\"uid\": \"$alice\"}" 2>&1 || status=$?
[ "$status" -eq 69 ]
