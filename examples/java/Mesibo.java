import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.InputStreamReader;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import javax.net.ssl.SSLException;

/**
 * A client of mesibo-grpc, to copy into a program of your own. It opens a channel by a URL, gives
 * every call a deadline and the caller's key, repeats what is safe to repeat, and reads errors from
 * their details.
 */
public final class Mesibo {
    /** How long a call may take. */
    private static final Duration DEADLINE = Duration.ofSeconds(10);

    /** How often a call with a request_id is made at the most. */
    private static final int ATTEMPTS = 4;

    /** The codes after which such a call may be made again, with the same id. */
    private static final Set<Status.Code> REPEATABLE = Set.of(
            Status.Code.UNAVAILABLE,
            Status.Code.UNKNOWN,
            Status.Code.DEADLINE_EXCEEDED,
            Status.Code.INTERNAL);

    /**
     * docs/service-config.json, which repeats the calls that are safe to repeat and balances over
     * all servers of a name. Keep it among the resources of your program, next to this class.
     */
    private static final String SERVICE_CONFIG = "service-config.json";

    private Mesibo() {}

    /** The service config as the channel takes it: maps, lists, texts, truths and doubles. */
    private static Map<String, ?> serviceConfig() {
        var resource = Mesibo.class.getResourceAsStream(SERVICE_CONFIG);
        if (resource == null) {
            throw new IllegalStateException("there is no resource " + SERVICE_CONFIG);
        }
        var type = new TypeToken<Map<String, Object>>() {}.getType();
        return new Gson().fromJson(new InputStreamReader(resource, UTF_8), type);
    }

    /**
     * A channel to the server at a URL: over TLS for https, in plaintext for http. One channel
     * serves all stubs and threads of a process.
     *
     * @param key the caller's key, or null
     * @param app the Mesibo application to call for, or null for the server's default
     * @param authorities a PEM file of the authorities to trust, or null for the usual ones
     */
    public static ManagedChannel connect(String url, String key, String app, File authorities)
            throws SSLException {
        var server = URI.create(url.contains("//") ? url : "http://" + url);
        var builder = NettyChannelBuilder.forTarget("dns:///" + server.getAuthority());
        if (!"https".equals(server.getScheme())) {
            builder.usePlaintext();
        } else if (authorities != null) {
            builder.sslContext(GrpcSslContexts.forClient().trustManager(authorities).build());
        }
        var metadata = new Metadata();
        if (key != null && !key.isEmpty()) {
            metadata.put(ascii("authorization"), "Bearer " + key);
        }
        if (app != null) {
            metadata.put(ascii("mesibo-app"), app);
        }
        return builder
                .defaultServiceConfig(serviceConfig())
                .enableRetry()
                // Finds out when a connection was dropped silently.
                .keepAliveTime(30, TimeUnit.SECONDS)
                .intercept(new Timeout(), MetadataUtils.newAttachHeadersInterceptor(metadata))
                .build();
    }

    private static Metadata.Key<String> ascii(String name) {
        return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    }

    /**
     * Makes a call whose request has a request_id, again and again until its outcome is known. Only
     * SendMessage and CreateGroup take an id: a UUID that is made once, before the first attempt.
     * Whatever was lost on the way, what the call asks for happens once.
     */
    public static <T> T once(Supplier<T> call) throws InterruptedException {
        long end = System.nanoTime() + DEADLINE.toNanos();
        for (int attempt = 1; ; attempt++) {
            try {
                return call.get();
            } catch (StatusRuntimeException error) {
                // At random, so that those who failed together do not come back together.
                var pause = Failure.of(error).retryAfter;
                if (pause == null) {
                    long longest = 100L << attempt;
                    pause = Duration.ofMillis(ThreadLocalRandom.current().nextLong(longest));
                }
                if (!REPEATABLE.contains(error.getStatus().getCode())
                        || attempt == ATTEMPTS
                        || System.nanoTime() + pause.toNanos() >= end) {
                    throw error;
                }
                Thread.sleep(pause.toMillis());
            }
        }
    }

    /** What a program can know of a call that failed. */
    public static final class Failure {
        public Status.Code code;
        public String text = "";

        /**
         * Who said no, "mesibo.com" or "mesibo-grpc", and why. Both are empty if the status was made
         * on the way: there is no connection, for example.
         */
        public String domain = "";

        public String reason = "";

        /** Whether what the call asks for may have happened: find out before you repeat it. */
        public boolean outcomeIsUnknown;

        /** Every broken rule, with its field. */
        public List<BadRequest.FieldViolation> violations = List.of();

        /** After which time the call may be made again, or null. */
        public Duration retryAfter;

        /** Reads the details of an error. */
        public static Failure of(StatusRuntimeException error) {
            var failure = new Failure();
            failure.code = error.getStatus().getCode();
            failure.text = String.valueOf(error.getStatus().getDescription());
            var status = StatusProto.fromThrowable(error);
            try {
                for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
                    failure.read(detail);
                }
            } catch (InvalidProtocolBufferException mistake) {
                failure.text += "; its details cannot be read: " + mistake.getMessage();
            }
            return failure;
        }

        private void read(Any detail) throws InvalidProtocolBufferException {
            if (detail.is(ErrorInfo.class)) {
                var info = detail.unpack(ErrorInfo.class);
                domain = info.getDomain();
                reason = info.getReason();
                outcomeIsUnknown = "unknown".equals(info.getMetadataOrDefault("outcome", ""));
            } else if (detail.is(BadRequest.class)) {
                violations = detail.unpack(BadRequest.class).getFieldViolationsList();
            } else if (detail.is(RetryInfo.class)) {
                var delay = detail.unpack(RetryInfo.class).getRetryDelay();
                retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
            }
        }

        /** What is known, in lines. */
        @Override
        public String toString() {
            if (reason.isEmpty()) {
                return code + ": " + text;
            }
            var lines = new StringBuilder(code + ": " + reason + " from " + domain);
            for (var violation : violations) {
                lines.append("\n  ").append(violation.getField());
                lines.append(": ").append(violation.getDescription());
            }
            if (outcomeIsUnknown) {
                lines.append("\n  it may have been carried out: check before you repeat it");
            }
            if (retryAfter != null) {
                lines.append("\n  repeat it in ").append(retryAfter.toSeconds()).append(" s");
            }
            return lines.toString();
        }
    }

    /**
     * Gives each call its time from its own start; a stub's withDeadlineAfter would count it from
     * when the stub is made.
     */
    private static final class Timeout implements ClientInterceptor {
        @Override
        public <Q, R> ClientCall<Q, R> interceptCall(
                MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
            var timed = options.getDeadline() != null
                    ? options
                    : options.withDeadlineAfter(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
            return next.newCall(method, timed);
        }
    }
}
