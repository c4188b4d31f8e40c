import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.Duration;
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
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.File;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import java.util.stream.Collectors;

/**
 * Every RPC of mesibo-grpc, from Java, by the client of Mesibo.java.
 *
 * <p>Usage: Walk [URL]; the environment variable MESIBO_GRPC_KEY has the caller's key, where
 * the server wants one, and MESIBO_GRPC_CA_FILE names the authorities to trust in the place of
 * the usual ones.
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

    private void walk() throws InterruptedException {
        long alice = users.createUser(CreateUserRequest.newBuilder()
                .setAddress(ALICE)
                .setAppId(APP_ID)
                .setTokenExpiry(Duration.newBuilder().setSeconds(3600))
                .build()).getUid();
        users.createUser(CreateUserRequest.newBuilder()
                .setAddress(BOB)
                .setAppId(APP_ID)
                .build());
        System.out.println("created " + ALICE + " and " + BOB);

        long team = createTeam();
        sendMessages(team);

        users.editUser(EditUserRequest.newBuilder().setAddress(ALICE).setFlags(1).build());
        groups.editGroup(EditGroupRequest.newBuilder().setGid(team).setName("crew").build());
        System.out.println("edited the user and the group");

        replaceToken(BOB);
        makeMistake();

        users.deleteUser(DeleteUserRequest.newBuilder().setAddress(ALICE).build());
        users.deleteUser(DeleteUserRequest.newBuilder().setAddress(BOB).build());
        groups.deleteGroup(DeleteGroupRequest.newBuilder().setGid(team).build());
        System.out.println("deleted the users and the group");

        // What is gone already is often as good as deleted: the code tells.
        try {
            users.deleteUser(DeleteUserRequest.newBuilder().setUid(alice).build());
        } catch (StatusRuntimeException error) {
            if (error.getStatus().getCode() != Status.Code.NOT_FOUND) {
                throw error;
            }
            System.out.println(Mesibo.Failure.of(error));
        }
    }

    /** Creates the group of the two users, and returns its id. */
    private long createTeam() throws InterruptedException {
        // What has a request_id is done once, however often it is repeated.
        var team = CreateGroupRequest.newBuilder()
                .setName("team")
                .setRequestId(UUID.randomUUID().toString())
                .build();
        long gid = Mesibo.once(() -> groups.createGroup(team)).getGid();
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
    private void sendMessages(long gid) throws InterruptedException {
        var toBob = SendMessageRequest.newBuilder().setToAddress(BOB);
        var toGroup = SendMessageRequest.newBuilder().setGid(gid);
        for (var builder : List.of(toBob, toGroup)) {
            var request = builder.setFromAddress(ALICE)
                    .setMessage(TEXT)
                    .setRequestId(UUID.randomUUID().toString())
                    .build();
            var sent = Mesibo.once(() -> messages.sendMessage(request));
            var recipient = request.getRecipientCase().name().toLowerCase(Locale.ROOT);
            // A field that may be absent is asked for before it is read.
            var known = sent.hasMessageId() ? "with" : "without";
            System.out.println("sent a message to " + recipient + ", " + known + " an id");
        }
    }

    /** Gives a user a new token, takes it away again, and lists who has one. */
    private void replaceToken(String address) {
        users.regenerateUserToken(
                RegenerateUserTokenRequest.newBuilder().setAddress(address).setAppId(APP_ID).build());
        users.deleteUserToken(
                DeleteUserTokenRequest.newBuilder().setAddress(address).setAppId(APP_ID).build());
        var found = users.listUsers(
                ListUsersRequest.newBuilder().setAddressPattern("* java").build());
        for (var user : found.getUsersList()) {
            var state = user.hasAccessToken() ? "with" : "without";
            System.out.println("found " + user.getAddress() + ", " + state + " a token");
        }
    }

    /** A mistake: 90 seconds are no whole minutes, and there is no address at all. */
    private void makeMistake() {
        try {
            users.createUser(CreateUserRequest.newBuilder()
                    .setAppId(APP_ID)
                    .setTokenExpiry(Duration.newBuilder().setSeconds(90))
                    .build());
        } catch (StatusRuntimeException error) {
            System.out.println(Mesibo.Failure.of(error));
        }
    }

    public static void main(String[] args) throws Exception {
        // Print UTF-8, whatever the locale is.
        System.setOut(new PrintStream(System.out, true, UTF_8));

        var address = args.length > 0 ? args[0] : "127.0.0.1:50051";
        var caFile = System.getenv("MESIBO_GRPC_CA_FILE");
        var authorities = caFile == null ? null : new File(caFile);
        var channel = Mesibo.connect(address, System.getenv("MESIBO_GRPC_KEY"), null, authorities);
        int exitStatus = 0;
        try {
            new Walk(channel).walk();
        } catch (StatusRuntimeException error) {
            System.out.println(Mesibo.Failure.of(error));
            exitStatus = 1;
        } finally {
            channel.shutdown();
        }
        System.exit(exitStatus);
    }
}
