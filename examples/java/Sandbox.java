import io.grpc.ManagedChannel;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.UUID;
import java.util.regex.Pattern;
import org.junit.rules.ExternalResource;

/**
 * A rule for JUnit 4: a sandbox of mesibo-grpc for all tests of a class, with a world of its own for
 * each. The program is mesibo-grpc of the PATH, or the one that the environment variable MESIBO_GRPC
 * names.
 */
public final class Sandbox extends ExternalResource {
    private static final Pattern ADDRESS = Pattern.compile("gRPC on ([^,]+),");
    private static final Pattern PAGE = Pattern.compile("(http://\\S+/)api\\.php");

    private Process process;
    private String url;
    private String page;

    /** Starts it on ports that the system chooses, and waits until it serves. */
    @Override
    protected void before() throws Throwable {
        var program = System.getenv().getOrDefault("MESIBO_GRPC", "mesibo-grpc");
        var builder = new ProcessBuilder(
                program, "sandbox", "--listen=127.0.0.1:0", "--emulator-listen=127.0.0.1:0");
        builder.environment().put("MESIBO_GRPC_METRICS_LISTEN", "none");
        builder.redirectError(ProcessBuilder.Redirect.DISCARD);
        process = builder.start();
        // It prints where it serves, and what to try first.
        var lines = new BufferedReader(new InputStreamReader(process.getInputStream()));
        var greeting = new StringBuilder();
        while (greeting.indexOf("api.php") < 0) {
            var line = lines.readLine();
            if (line == null) {
                throw new IllegalStateException(program + " does not serve");
            }
            greeting.append(line).append('\n');
        }
        url = "http://" + find(ADDRESS, greeting);
        page = find(PAGE, greeting);
        for (int attempt = 0; attempt < 50; attempt++) {
            var asked = new ProcessBuilder(program, "health", "--address", url)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            if (asked.waitFor() == 0) {
                return;
            }
        }
        after();
        throw new IllegalStateException(url + " does not serve");
    }

    @Override
    protected void after() {
        process.destroy();
        process.onExit().join();
    }

    private static String find(Pattern pattern, CharSequence text) {
        var found = pattern.matcher(text);
        if (!found.find()) {
            throw new IllegalStateException("the sandbox prints " + text);
        }
        return found.group(1);
    }

    /** Makes a world. Close it at the end of the test. */
    public World world() throws Exception {
        return new World(this);
    }

    /** What one test has for itself: nothing that another one does shows up in it. */
    public static final class World implements AutoCloseable {
        /** The name, which the metadata mesibo-app carries. */
        public final String name = "test-" + UUID.randomUUID();

        /** Calls by this channel are for this world. */
        public final ManagedChannel channel;

        /** The page that shows users, messages and requests. */
        public final String page;

        /** The emulated API of Mesibo, and its application token for this world. */
        public final String api;

        public final String token = "sandbox-" + name;

        private World(Sandbox sandbox) throws Exception {
            channel = Mesibo.connect(sandbox.url, null, name, null);
            page = sandbox.page;
            api = page + "api.php";
        }

        @Override
        public void close() throws Exception {
            channel.shutdown();
            var url = new URL(page + "sandbox/worlds/" + name);
            var connection = (HttpURLConnection) url.openConnection();
            connection.setRequestMethod("DELETE");
            connection.getResponseCode();
            connection.disconnect();
        }
    }
}
