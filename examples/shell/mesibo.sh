# shellcheck shell=sh
# Calls of mesibo-grpc from a shell: copy it, and source it into a script of your own. It
# needs curl and jq, and takes the settings of `mesibo-grpc call` from the environment:
#
#   MESIBO_GRPC_ADDRESS  the URL of the server, by default that of the sandbox
#   MESIBO_GRPC_CA_FILE  authorities to trust, for https
#   MESIBO_GRPC_KEY      the caller's key, if it has one
#   MESIBO_GRPC_APP      the Mesibo application to call for, if there are several
#
# `mesibo RPC JSON` makes a call and prints its response. It repeats what is safe to
# repeat. A failure is explained on standard error, and its status is 64 and the number of
# the gRPC code, as that of `mesibo-grpc call`.

# Seconds that a call may take, and how often it is made.
MESIBO_DEADLINE=10
MESIBO_ATTEMPTS=4

# mesibo RPC JSON: makes a call, such as `mesibo SendMessage '{...}'`.
mesibo() {
    mesibo_request=$2
    # The codes after which the call may be made again.
    case $1 in
    List* | Lookup* | Search* | Edit* | Delete*) mesibo_repeatable=unavailable ;;
    SendMessage | CreateGroup)
        # With an id it is carried out once, whatever was lost on the way.
        mesibo_repeatable='unavailable unknown deadline_exceeded internal'
        mesibo_request=$(printf '%s' "$2" | jq -c --arg id "$(mesibo_id)" \
            'if has("requestId") or has("request_id") then . else .requestId = $id end') ||
            return 2
        ;;
    *) mesibo_repeatable= ;;
    esac
    mesibo_attempt=1
    while :; do
        mesibo_answer=$(mesibo_post "$1" "$mesibo_request") && break
        mesibo_code=$(printf '%s' "$mesibo_answer" | jq -r .code)
        case " $mesibo_repeatable " in
        *" $mesibo_code "*) ;;
        *) mesibo_attempt=$MESIBO_ATTEMPTS ;;
        esac
        mesibo_pause=$(mesibo_retry_after "$mesibo_attempt")
        if [ "$mesibo_attempt" -ge "$MESIBO_ATTEMPTS" ] || [ "$mesibo_pause" -ge "$MESIBO_DEADLINE" ]; then
            mesibo_explain >&2
            return "$(mesibo_status)"
        fi
        sleep "$mesibo_pause"
        mesibo_attempt=$((mesibo_attempt + 1))
    done
    printf '%s\n' "$mesibo_answer"
}

# mesibo_id: the id of one message or group: a UUID, made once, before the first attempt.
mesibo_id() {
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' |
        sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.*\)$/\1-\2-4\3-8\4-\5/'
}

# mesibo_post RPC JSON: makes one attempt, and prints the response or the error.
mesibo_post() {
    case $1 in
    *Group | *GroupMembers) mesibo_service=GroupService ;;
    *Message) mesibo_service=MessageService ;;
    *) mesibo_service=UserService ;;
    esac
    case $1 in Lookup* | Search*) mesibo_service=DirectoryService ;; esac
    # Neither the key nor the request is on a command line, which others can read.
    mesibo_printed=$({
        mesibo_option url "${MESIBO_GRPC_ADDRESS:-http://127.0.0.1:50051}/mesibo.v1.$mesibo_service/$1"
        mesibo_option header 'content-type: application/json'
        mesibo_option header "connect-timeout-ms: ${MESIBO_DEADLINE}000"
        [ -z "${MESIBO_GRPC_KEY:-}" ] || mesibo_option header "authorization: Bearer $MESIBO_GRPC_KEY"
        [ -z "${MESIBO_GRPC_APP:-}" ] || mesibo_option header "mesibo-app: $MESIBO_GRPC_APP"
        [ -z "${MESIBO_GRPC_CA_FILE:-}" ] || mesibo_option cacert "$MESIBO_GRPC_CA_FILE"
        mesibo_option data-raw "$2"
    } | curl --config - --silent --max-time "$MESIBO_DEADLINE" \
        --write-out '\n%{http_code} %{errormsg}') || :
    # The last line is of curl, and the rest of the server.
    mesibo_body=${mesibo_printed%
*}
    mesibo_error=${mesibo_printed##*
}
    mesibo_http=${mesibo_error%% *}
    mesibo_error=${mesibo_error#* }
    case $mesibo_http in
    200)
        printf '%s' "$mesibo_body"
        return 0
        ;;
    000)
        # Whether the call was carried out is not known.
        case $mesibo_error in
        *'timed out'*) mesibo_made_up=deadline_exceeded ;;
        *) mesibo_made_up=unavailable ;;
        esac
        ;;
    *)
        if printf '%s' "$mesibo_body" | jq -e .code >/dev/null 2>&1; then
            printf '%s' "$mesibo_body"
            return 1
        fi
        # Something on the way answers.
        mesibo_made_up=unknown
        mesibo_error="HTTP status $mesibo_http, not from mesibo-grpc"
        ;;
    esac
    jq -cn --arg code "$mesibo_made_up" --arg message "$mesibo_error" '{$code, $message}'
    return 1
}

# mesibo_option NAME VALUE: a line of curl's configuration.
mesibo_option() {
    printf '%s = ' "$1"
    # Its escapes are those of JSON.
    printf '%s' "$2" | jq -Rs .
}

# mesibo_retry_after ATTEMPT: the seconds to wait before the next attempt: what the server
# asks for, or a second, or two, at random, so that those who failed together do not come
# back together.
mesibo_retry_after() {
    mesibo_asked=$(printf '%s' "$mesibo_answer" | jq -r '
        [.details[]? | select(.type == "google.rpc.RetryInfo") | .debug.retryDelay
            | rtrimstr("s") | tonumber | ceil] | first // empty')
    echo "${mesibo_asked:-$(($(od -An -N1 -tu1 /dev/urandom) % 2 + $1 / 2))}"
}

# mesibo_explain: what is known of the failure, in lines.
mesibo_explain() {
    printf '%s' "$mesibo_answer" | jq -r '
        def detail($type): first(.details[]? | select(.type == "google.rpc." + $type) | .debug) // {};
        (.code | ascii_upcase) as $code | detail("ErrorInfo") as $info
        | if $info.reason then "\($code): \($info.reason) from \($info.domain)" else "\($code): \(.message)" end,
        (detail("BadRequest").fieldViolations[]? | "  \(.field): \(.description)"),
        (if $info.metadata.outcome == "unknown" then
            "  it may have been carried out: check before you repeat it" else empty end),
        (detail("RetryInfo").retryDelay // empty | "  repeat it in \(rtrimstr("s")) s")'
}

# mesibo_status: the exit status of the failure.
mesibo_status() {
    mesibo_number=1
    for mesibo_name in canceled unknown invalid_argument deadline_exceeded not_found \
        already_exists permission_denied resource_exhausted failed_precondition aborted \
        out_of_range unimplemented internal unavailable data_loss unauthenticated; do
        [ "$mesibo_name" = "$mesibo_code" ] && break
        mesibo_number=$((mesibo_number + 1))
    done
    echo $((64 + mesibo_number))
}
