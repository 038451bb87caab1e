package conformance;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** How long the threads of some processes have run until now, by the kernel's own count. */
final class Processor {
    /** The name of a thread that is not counted: it is there for the measurement alone. */
    static final String SENDER = "sender";
    /** Not counted either: what compiles has done so after a minute, and a consumer lives for months. */
    private static final Set<String> IGNORED = Set.of(SENDER, "C1 CompilerThre", "C2 CompilerThre");

    private final long moment = System.nanoTime();
    private final Map<String, Long> nanos = new HashMap<>();

    Processor(String... processes) throws IOException {
        for (String process : processes) {
            try (DirectoryStream<Path> threads = Files.newDirectoryStream(Path.of("/proc", process, "task"))) {
                for (Path thread : threads) {
                    add(thread);
                }
            }
        }
    }

    private void add(Path thread) {
        try {
            if (!IGNORED.contains(Files.readString(thread.resolve("comm")).strip())) {
                nanos.put(thread.toString(), Long.valueOf(Files.readString(thread.resolve("schedstat")).split(" ")[0]));
            }
        } catch (IOException ended) {
            // Between the listing and the reading.
        }
    }

    /** Seconds of a processor in each second since then. A thread that has ended since is not in it. */
    double shareSince(Processor before) {
        long used = 0;
        for (Map.Entry<String, Long> thread : nanos.entrySet()) {
            used += thread.getValue() - before.nanos.getOrDefault(thread.getKey(), 0L);
        }
        return (double) used / (moment - before.moment);
    }
}
