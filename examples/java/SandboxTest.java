import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;

import com.mesibo.v1.CreateUserRequest;
import com.mesibo.v1.MessageServiceGrpc;
import com.mesibo.v1.SendMessageRequest;
import com.mesibo.v1.UserServiceGrpc;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import org.junit.ClassRule;
import org.junit.Test;

/** Tests of a program that sends messages, against the sandbox. */
public final class SandboxTest {
    @ClassRule public static final Sandbox SANDBOX = new Sandbox();

    private static SendMessageRequest hi() {
        return SendMessageRequest.newBuilder()
                .setFromAddress("alice")
                .setToAddress("bob")
                .setMessage("Hi")
                .setRequestId(UUID.randomUUID().toString())
                .build();
    }

    @Test
    public void aMessageWithAnIdIsSentOnce() throws Exception {
        try (var world = SANDBOX.world()) {
            var users = UserServiceGrpc.newBlockingStub(world.channel);
            for (var address : new String[] {"alice", "bob"}) {
                users.createUser(CreateUserRequest.newBuilder()
                        .setAddress(address)
                        .setAppId("demo")
                        .build());
            }
            var messages = MessageServiceGrpc.newBlockingStub(world.channel);
            var request = hi();
            var first = Mesibo.once(() -> messages.sendMessage(request));
            assertEquals(first, Mesibo.once(() -> messages.sendMessage(request)));
            // From the API that the page uses.
            var url = new URL(world.page + "sandbox/messages?world=" + world.name);
            try (var held = url.openStream()) {
                var json = new String(held.readAllBytes(), StandardCharsets.UTF_8);
                assertEquals(json, 2, json.split("\"msg\":").length);
            }
        }
    }

    @Test
    public void aFailureHasItsDetails() throws Exception {
        try (var world = SANDBOX.world()) {
            var messages = MessageServiceGrpc.newBlockingStub(world.channel);
            var error = assertThrows(
                    StatusRuntimeException.class, () -> messages.sendMessage(hi()));
            var failure = Mesibo.Failure.of(error);
            assertEquals(Status.Code.NOT_FOUND, failure.code);
            assertEquals("mesibo.com", failure.domain);
            assertFalse(failure.outcomeIsUnknown);
        }
    }
}
