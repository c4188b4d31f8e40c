import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.mesibo.v1.CreateGroupRequest;
import com.mesibo.v1.CreateUserRequest;
import com.mesibo.v1.DeleteGroupRequest;
import com.mesibo.v1.DeleteUserRequest;
import com.mesibo.v1.DeleteUserTokenRequest;
import com.mesibo.v1.EditGroupMembersRequest;
import com.mesibo.v1.EditGroupRequest;
import com.mesibo.v1.EditUserRequest;
import com.mesibo.v1.GroupMember;
import com.mesibo.v1.GroupServiceGrpc.GroupServiceBlockingStub;
import com.mesibo.v1.GroupServiceGrpc;
import com.mesibo.v1.ListGroupMembersRequest;
import com.mesibo.v1.ListUsersRequest;
import com.mesibo.v1.MemberPermissions;
import com.mesibo.v1.MessageServiceGrpc.MessageServiceBlockingStub;
import com.mesibo.v1.MessageServiceGrpc;
import com.mesibo.v1.RegenerateUserTokenRequest;
import com.mesibo.v1.SendMessageRequest;
import com.mesibo.v1.UserServiceGrpc.UserServiceBlockingStub;
import com.mesibo.v1.UserServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * Every RPC of mesibo-grpc, from Java.
 *
 * <p>Usage: Walk [HOST:PORT]; the environment variable MESIBO_GRPC_KEY has the caller's key, where
 * the server wants one.
 */
public final class Walk {
    private static final String ALICE = "alice 👩‍🚀 &=+% java";
    private static final String BOB = "בוב 🦀 java";
    private static final String TEXT =
            "Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line";
    private static final String APP_ID = "demo";

    private final UserServiceBlockingStub users;
    private final GroupServiceBlockingStub groups;
    private final MessageServiceBlockingStub messages;

    private Walk(Channel channel) {
        users = UserServiceGrpc.newBlockingStub(channel);
        groups = GroupServiceGrpc.newBlockingStub(channel);
        messages = MessageServiceGrpc.newBlockingStub(channel);
    }

    private void walk() throws InvalidProtocolBufferException {
        long alice = users.createUser(CreateUserRequest.newBuilder()
                .setAddress(ALICE)
                .setAppId(APP_ID)
                .setTokenExpiry(Duration.newBuilder().setSeconds(3600))
                .build()).getUid();
        long bob = users.createUser(CreateUserRequest.newBuilder()
                .setAddress(BOB)
                .setAppId(APP_ID)
                .build()).getUid();
        System.out.println("created " + ALICE + " and " + BOB);

        long team = createTeam();
        sendMessages(team);

        users.editUser(EditUserRequest.newBuilder().setUid(alice).setFlags(1).build());
        groups.editGroup(EditGroupRequest.newBuilder().setGid(team).setName("crew").build());
        System.out.println("edited the user and the group");

        replaceToken(bob);
        makeMistake();

        users.deleteUser(DeleteUserRequest.newBuilder().setUid(alice).build());
        users.deleteUser(DeleteUserRequest.newBuilder().setUid(bob).build());
        groups.deleteGroup(DeleteGroupRequest.newBuilder().setGid(team).build());
        System.out.println("deleted the users and the group");

        // What is gone already is often as good as deleted: the code tells.
        try {
            users.deleteUser(DeleteUserRequest.newBuilder().setUid(alice).build());
        } catch (StatusRuntimeException error) {
            if (error.getStatus().getCode() != Status.Code.NOT_FOUND) {
                throw error;
            }
            explain(error);
        }
    }

    /** Creates the group of the two users, and returns its id. */
    private long createTeam() {
        long gid = groups.createGroup(CreateGroupRequest.newBuilder().setName("team").build())
                .getGid();
        groups.editGroupMembers(EditGroupMembersRequest.newBuilder()
                .setGid(gid)
                .addMembers(ALICE)
                .addMembers(BOB)
                .setAction(EditGroupMembersRequest.Action.ACTION_ADD)
                .setPermissions(MemberPermissions.newBuilder().setCanSend(true))
                .build());
        var listed = groups.listGroupMembers(
                ListGroupMembersRequest.newBuilder().setGid(gid).build());
        System.out.println("the group has " + listed.getMembersList().stream()
                .map(GroupMember::getAddress)
                .collect(Collectors.joining(" and ")));
        return gid;
    }

    /** Sends the message to a user and to a group. */
    private void sendMessages(long gid) {
        var toBob = SendMessageRequest.newBuilder().setToAddress(BOB);
        var toGroup = SendMessageRequest.newBuilder().setGid(gid);
        for (var request : List.of(toBob, toGroup)) {
            var sent = messages.sendMessage(
                    request.setFromAddress(ALICE).setMessage(TEXT).build());
            var recipient = request.getRecipientCase().name().toLowerCase(Locale.ROOT);
            // A field that may be absent is asked for before it is read.
            var known = sent.hasMessageId() ? "with" : "without";
            System.out.println("sent a message to " + recipient + ", " + known + " an id");
        }
    }

    /** Gives a user a new token, takes it away again, and lists who has one. */
    private void replaceToken(long uid) {
        users.regenerateUserToken(
                RegenerateUserTokenRequest.newBuilder().setUid(uid).setAppId(APP_ID).build());
        users.deleteUserToken(
                DeleteUserTokenRequest.newBuilder().setUid(uid).setAppId(APP_ID).build());
        var found = users.listUsers(
                ListUsersRequest.newBuilder().setAddressPattern("* java").build());
        for (var user : found.getUsersList()) {
            var state = user.hasAccessToken() ? "with" : "without";
            System.out.println("found " + user.getAddress() + ", " + state + " a token");
        }
    }

    /** A mistake: 90 seconds are no whole minutes, and there is no address at all. */
    private void makeMistake() throws InvalidProtocolBufferException {
        try {
            users.createUser(CreateUserRequest.newBuilder()
                    .setAppId(APP_ID)
                    .setTokenExpiry(Duration.newBuilder().setSeconds(90))
                    .build());
        } catch (StatusRuntimeException error) {
            explain(error);
        }
    }

    /** Says what a program can know of an error, from its details. */
    private static void explain(StatusRuntimeException error)
            throws InvalidProtocolBufferException {
        var info = ErrorInfo.getDefaultInstance();
        var badRequest = BadRequest.getDefaultInstance();
        var retryInfo = RetryInfo.getDefaultInstance();
        for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
            if (detail.is(ErrorInfo.class)) {
                info = detail.unpack(ErrorInfo.class);
            } else if (detail.is(BadRequest.class)) {
                badRequest = detail.unpack(BadRequest.class);
            } else if (detail.is(RetryInfo.class)) {
                retryInfo = detail.unpack(RetryInfo.class);
            }
        }

        var code = error.getStatus().getCode();
        System.out.println(code + ": " + info.getReason() + " from " + info.getDomain());
        for (var violation : badRequest.getFieldViolationsList()) {
            System.out.println("  " + violation.getField() + ": " + violation.getDescription());
        }
        if (info.getMetadataOrDefault("outcome", "").equals("unknown")) {
            System.out.println("  it may have been carried out: check before you repeat it");
        }
        if (retryInfo.hasRetryDelay()) {
            System.out.println("  repeat it in " + retryInfo.getRetryDelay().getSeconds() + " s");
        }
    }

    /** The metadata that tells the server who calls. */
    private static Metadata credentials() {
        var metadata = new Metadata();
        var key = System.getenv("MESIBO_GRPC_KEY");
        if (key != null && !key.isEmpty()) {
            metadata.put(
                    Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
                    "Bearer " + key);
        }
        return metadata;
    }

    /**
     * Gives each call 10 seconds from its own start; a stub's withDeadlineAfter would count them
     * from when the stub is made.
     */
    private static final class Timeout implements ClientInterceptor {
        @Override
        public <Q, R> ClientCall<Q, R> interceptCall(
                MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
            return next.newCall(method, options.withDeadlineAfter(10, TimeUnit.SECONDS));
        }
    }

    public static void main(String[] args) throws InvalidProtocolBufferException {
        // Print UTF-8, whatever the locale is.
        System.setOut(new PrintStream(System.out, true, UTF_8));

        var address = args.length > 0 ? args[0] : "127.0.0.1:50051";
        // One channel serves all stubs and threads of a process.
        ManagedChannel channel = ManagedChannelBuilder.forTarget(address)
                .usePlaintext()
                .intercept(new Timeout(), MetadataUtils.newAttachHeadersInterceptor(credentials()))
                .build();
        int exitStatus = 0;
        try {
            new Walk(channel).walk();
        } catch (StatusRuntimeException error) {
            explain(error);
            exitStatus = 1;
        } finally {
            channel.shutdown();
        }
        System.exit(exitStatus);
    }
}
