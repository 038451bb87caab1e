package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.consumer.ConsumerConfig;
import com.taobao.metamorphosis.client.consumer.MessageListener;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.PartitionSelector;
import com.taobao.metamorphosis.client.producer.SendMessageCallback;
import com.taobao.metamorphosis.client.producer.SendResult;
import com.taobao.metamorphosis.cluster.Partition;
import com.taobao.metamorphosis.exception.MetaClientException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * How long messages take to a consumer that has fewer fetch threads than partitions, and whether each comes once. The argument
 * is a list of {@code key=value}, separated by commas:
 *
 * <pre>
 *   topic     where to send; nobody else may
 *   threads   of the consumer
 *   order     round-robin (the client's own), two-round-robins, random, hot (four of five to one), burst (ten at once)
 *   gap       milliseconds between two messages, or bursts; each is half to one and a half times as long
 *   count     messages that count. Those of the consumer's first ten seconds do not
 *   pids      processes whose share of a processor is told, separated by colons; none
 *   each      1: the latency of each message is told
 *   p50, max  limits in milliseconds; none
 * </pre>
 *
 * Fails when a message is lost or read twice.
 */
final class Turns {
    /** Enough that what runs for each message has been compiled, and that each partition has one. */
    private static final int WARM_UP = 200;
    private static final long SETTLED_NANOS = TimeUnit.SECONDS.toNanos(10);
    private static final int BURST = 10;

    private final Lab lab;
    private final Map<String, String> options = new HashMap<>();
    private final String topic;
    private final String order;
    private final long gap;
    private final int count;
    private final Random random = new Random(11);
    private final Deliveries deliveries = new Deliveries();
    private MessageProducer own;
    private MessageProducer another;
    private MessageProducer chosen;
    /** The partition that the next message of {@code chosen} goes to. One thread sends. */
    private int next;
    private int partitions;

    private Turns(Lab lab) {
        this.lab = lab;
        for (String option : lab.argument.split(",")) {
            String[] parts = option.split("=", 2);
            options.put(parts[0], parts[1]);
        }
        topic = options.get("topic");
        order = options.get("order");
        gap = Long.parseLong(options.get("gap"));
        count = Integer.parseInt(options.get("count"));
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("turns", lab -> new Turns(lab).run());
    }

    private void run() throws Exception {
        Thread.currentThread().setName(Processor.SENDER);
        own = lab.producer(topic);
        another = lab.factory().createProducer();
        another.publish(topic);
        chosen = lab.factory().createProducer(new PartitionSelector() {
            @Override
            public Partition getPartition(String topic, List<Partition> partitions, Message message) {
                return partitions.get(next);
            }
        });
        chosen.publish(topic);
        partitions = lab.partitions(topic).size();

        ConsumerConfig config = new ConsumerConfig(lab.group("g"));
        config.setFetchRunnerCount(Integer.parseInt(options.get("threads")));
        lab.consume(config, topic, deliveries);
        long settled = System.nanoTime() + SETTLED_NANOS;
        int sent = 0;
        for (; sent < Math.max(WARM_UP, 2 * partitions); sent++) {
            next = sent % partitions;
            send(chosen, sent);
            Thread.sleep(5);
        }
        deliveries.await(sent);
        while (System.nanoTime() < settled) {
            sent = sendSome(sent);
        }
        int first = sent;
        Map<String, Processor> before = processors();
        while (sent < first + count) {
            sent = sendSome(sent);
        }
        deliveries.await(sent);
        StringBuilder shares = new StringBuilder();
        processors().forEach((name, after) -> shares.append(String.format(" %s_cpu=%.4f", name, after.shareSince(before.get(name)))));
        // A message that is read twice is read again within a turn, or after the longest delay that the client makes.
        Thread.sleep(6000);
        tell(first, sent, shares.toString());
    }

    /** The next message, or burst, after its pause. Returns how many have been sent. */
    private int sendSome(int sent) throws Exception {
        Thread.sleep(gap / 2 + random.nextInt((int) gap));
        switch (order) {
            case "round-robin":
                send(own, sent);
                return sent + 1;
            case "two-round-robins":
                send(random.nextBoolean() ? own : another, sent);
                return sent + 1;
            case "random":
                next = random.nextInt(partitions);
                send(chosen, sent);
                return sent + 1;
            case "hot":
                next = random.nextInt(5) < 4 ? 0 : 1 + random.nextInt(partitions - 1);
                send(chosen, sent);
                return sent + 1;
            case "burst":
                burst(sent);
                return sent + BURST;
            default:
                throw new IllegalArgumentException("no order " + order);
        }
    }

    private void send(MessageProducer producer, int number) throws Exception {
        deliveries.sent(number);
        Lab.send(producer, topic, Integer.toString(number));
    }

    private void burst(int sent) throws Exception {
        Semaphore answered = new Semaphore(0);
        String[] refused = new String[1];
        for (int number = sent; number < sent + BURST; number++) {
            next = random.nextInt(partitions);
            deliveries.sent(number);
            Message message = new Message(topic, Integer.toString(number).getBytes(StandardCharsets.UTF_8));
            chosen.sendMessage(message, new SendMessageCallback() {
                @Override
                public void onMessageSent(SendResult result) {
                    if (!result.isSuccess()) {
                        refused[0] = result.getErrorMessage();
                    }
                    answered.release();
                }

                @Override
                public void onException(Throwable failure) {
                    refused[0] = String.valueOf(failure);
                    answered.release();
                }
            }, 10, TimeUnit.SECONDS);
        }
        answered.acquire(BURST);
        Lab.check(refused[0] == null, "send: " + refused[0]);
    }

    private Map<String, Processor> processors() throws Exception {
        Map<String, Processor> processors = new HashMap<>();
        processors.put("client", new Processor("self"));
        if (options.containsKey("pids")) {
            processors.put("server", new Processor(options.get("pids").split(":")));
        }
        return processors;
    }

    private void tell(int first, int end, String shares) throws MetaClientException {
        double[] millis = new double[end - first];
        for (int number = first; number < end; number++) {
            millis[number - first] = deliveries.millis(number);
            if ("1".equals(options.get("each"))) {
                lab.harness.say(String.format("@message %d partition=%s ms=%.2f", number - first, deliveries.partition(number), millis[number - first]));
            }
        }
        Arrays.sort(millis);
        int twice = deliveries.twice(end);
        int lost = deliveries.lost(end);
        // What did not come took longer than anything that did.
        double p50 = millis[millis.length / 2];
        double slowest = millis[millis.length - 1];
        lab.harness.say(String.format("@measure %s order=%s gap_ms=%d partitions=%d threads=%s count=%d p50_ms=%.1f p99_ms=%.1f max_ms=%.1f twice=%d lost=%d%s",
                lab.scenario, order, gap, partitions, options.get("threads"), end - first, p50, millis[Math.min(millis.length - 1, millis.length * 99 / 100)],
                slowest, twice, lost, shares));
        Lab.same(0, lost, "messages lost");
        Lab.same(0, twice, "messages read twice");
        Lab.check(p50 <= limit("p50"), "p50 is " + p50 + " ms");
        Lab.check(slowest <= limit("max"), "the slowest took " + slowest + " ms: " + Arrays.toString(millis));
    }

    private double limit(String name) {
        return Double.parseDouble(options.getOrDefault(name, "Infinity"));
    }

    /** When each message, which is its number, was sent and came, and how often. */
    private static final class Deliveries implements MessageListener {
        private static final int MOST = 100_000;
        private final AtomicLongArray sent = new AtomicLongArray(MOST);
        private final AtomicLongArray came = new AtomicLongArray(MOST);
        private final AtomicIntegerArray times = new AtomicIntegerArray(MOST);
        private final AtomicReferenceArray<String> from = new AtomicReferenceArray<>(MOST);

        @Override
        public void recieveMessages(Message message) {
            long now = System.nanoTime();
            int number = Integer.parseInt(Lab.text(message));
            came.compareAndSet(number, 0, now);
            from.set(number, message.getPartition().toString());
            times.incrementAndGet(number);
        }

        @Override
        public Executor getExecutor() {
            return null;
        }

        void sent(int number) {
            sent.set(number, System.nanoTime());
        }

        /** Until the first so many came; what has not come after twice the client's longest delay is lost. */
        void await(int count) throws Exception {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            while (lost(count) > 0 && System.nanoTime() < end) {
                Thread.sleep(5);
            }
        }

        double millis(int number) {
            return times.get(number) == 0 ? Double.POSITIVE_INFINITY : (came.get(number) - sent.get(number)) / 1e6;
        }

        String partition(int number) {
            return from.get(number);
        }

        int lost(int count) {
            int lost = 0;
            for (int number = 0; number < count; number++) {
                lost += times.get(number) == 0 ? 1 : 0;
            }
            return lost;
        }

        int twice(int count) {
            int twice = 0;
            for (int number = 0; number < count; number++) {
                twice += Math.max(0, times.get(number) - 1);
            }
            return twice;
        }
    }
}
