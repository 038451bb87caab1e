package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.MetaClientConfig;
import com.taobao.metamorphosis.client.MetaMessageSessionFactory;
import com.taobao.metamorphosis.client.consumer.ConsumerConfig;
import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.consumer.MessageListener;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Executor;

/**
 * A consumer in a JVM of its own, which can be killed. It writes a line for each message that it has read: its number, and when.
 * All processes of a machine share the clock.
 */
final class Reader {
    private static final int SESSION_MILLIS = 6000;
    /** Positions are committed each second, and a machine may be busy. */
    private static final long COMMITTED_NANOS = 5_000_000_000L;

    private final Process process;
    private final Path file;

    private Reader(Process process, Path file) {
        this.process = process;
        this.file = file;
    }

    static Reader start(Lab lab, String group) throws IOException {
        Path file = Files.createTempFile(Path.of(System.getProperty("user.home")), "reader-", ".txt");
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Reader.class.getName()));
        command.addAll(List.of(lab.zookeeper, lab.zkRoot, group, lab.scenario, file.toString()));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(Path.of(file + ".log").toFile()));
        return new Reader(builder.start(), file);
    }

    /** Runs until it is killed. */
    public static void main(String[] arguments) throws Exception {
        Lab lab = new Lab(arguments[0], arguments[1], "", arguments[3], "", null);
        MetaClientConfig config = lab.config();
        config.getZkConfig().zkSessionTimeoutMs = SESSION_MILLIS;
        ConsumerConfig consuming = lab.consumerConfig(arguments[2]);
        consuming.setFetchRunnerCount(Guards.THREADS);
        FileOutputStream lines = new FileOutputStream(arguments[4], true);
        MessageConsumer consumer = new MetaMessageSessionFactory(config).createConsumer(consuming);
        consumer.subscribe(arguments[3], Lab.FETCH_BYTES, new MessageListener() {
            @Override
            public void recieveMessages(Message message) {
                String line = Lab.text(message) + " " + System.nanoTime() + "\n";
                try {
                    // In one piece, and in the kernel's hands when the listener returns.
                    lines.write(line.getBytes(StandardCharsets.UTF_8));
                } catch (IOException failure) {
                    throw new IllegalStateException(failure);
                }
            }

            @Override
            public Executor getExecutor() {
                return null;
            }
        });
        consumer.completeSubscribe();
        Thread.currentThread().join();
    }

    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** When each message was read first, and how often. */
    Map<Integer, List<Long>> read() throws IOException {
        Map<Integer, List<Long>> read = new TreeMap<>();
        String text = Files.readString(file);
        // The last line may be on its way.
        for (String line : text.substring(0, text.lastIndexOf('\n') + 1).split("\n")) {
            String[] parts = line.split(" ");
            if (parts.length == 2) {
                read.computeIfAbsent(Integer.valueOf(parts[0]), none -> new ArrayList<>()).add(Long.valueOf(parts[1]));
            }
        }
        return read;
    }

    Set<Integer> numbers() {
        try {
            return read().keySet();
        } catch (IOException failure) {
            throw new IllegalStateException(failure);
        }
    }

    Map<Integer, List<Long>> twice() throws IOException {
        Map<Integer, List<Long>> twice = read();
        twice.values().removeIf(times -> times.size() == 1);
        return twice;
    }

    /**
     * The position that the dead one left in each partition is not beyond what it had read; and of what it had read before its last
     * commit, its successor has read at most one message again.
     */
    static void checkDeath(Reader dead, Reader successor, Ledger ledger, Map<String, Long> left, long death) throws IOException {
        Map<Integer, List<Long>> before = dead.read();
        Set<Integer> after = successor.numbers();
        Map<String, List<Integer>> again = new HashMap<>();
        for (int number : after) {
            String partition = ledger.partition(number);
            if (!before.containsKey(number)) {
                Lab.check(ledger.offset(number) >= left.getOrDefault(partition, 0L), "the position was beyond message " + number + ", which was not read");
            } else if (before.get(number).get(0) < death - COMMITTED_NANOS) {
                again.computeIfAbsent(partition, none -> new ArrayList<>()).add(number);
            }
        }
        again.forEach((partition, numbers) -> Lab.check(numbers.size() <= 1,
                "messages of partition " + partition + " that were read again although their position was committed: " + numbers));
    }
}
